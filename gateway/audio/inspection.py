"""Whether the first bytes of an answer are the audio they were declared to be: a pure decision.

Providers answer 200 with a page of HTML, a JSON error or nothing at all more often than they fail
in any other way, so no response begins before its first bytes have been found here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.audio.containers import adts, flac, mpeg, ogg, wav
from gateway.audio.containers.synced import tag_size
from gateway.audio.formats import Format
from gateway.audio.impostors import TELLING_BYTES, is_markup, may_be_markup, tell

HEAD_BYTES = 256 * 1024
"""How many bytes are looked at before a stream without audio in them is called broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the bytes seen so far are; what follows the verdict is known with "audio" alone."""

    verdict: Literal["audio", "more", "broken"]
    skip: int = 0
    """Bytes before the audio to drop: an ID3 tag. Not a WAV header, which transcode replaces."""
    reason: str = ""
    """Why it is broken, in plain words."""
    sample_rate: int | None = None
    """Hz, where the bytes say; for opus always the 48000 it decodes to."""
    channels: int | None = None
    bits: int | None = None
    """Of one sample, for wav and flac."""
    data_bytes: int | None = None
    """For wav, how many bytes of samples the header promises; None when streamed."""


_MORE = Finding("more")


@dataclass(frozen=True, slots=True)
class _Seen:
    """The first bytes, and whether there will be no others."""

    head: bytes
    ended: bool


def inspect(declared: Format, head: bytes, *, ended: bool) -> Finding:
    """Judge the first bytes of a body; ``ended`` when there will be no others."""
    finding = _CHECKS[declared](_Seen(head, ended)) if head else _MORE
    if finding is None:
        telling = ended or len(head) >= TELLING_BYTES
        return _broken(tell(declared, head)) if telling else _MORE
    if finding.verdict == "more" and ended:
        return _broken("cut off before the first audio" if head else "empty body")
    if finding.verdict == "more" and len(head) >= HEAD_BYTES:
        return _broken(f"no audio in the first {HEAD_BYTES} bytes")
    return finding


def _broken(reason: str) -> Finding:
    return Finding("broken", reason=reason)


def _mp3(seen: _Seen) -> Finding | None:
    """Want a whole frame with sound, followed by another header, a tag or the end."""
    head = seen.head
    start = at = tag_size(head[:16])
    while at is not None and start is not None:
        if not _may_begin(head, at, b"\xff"):
            return None
        if at + mpeg.HEADER_BYTES > len(head):
            break
        measured = mpeg.measure(head, at)
        if measured is None:
            return None
        frame, at = head[at : at + measured[0]], at + measured[0]
        following = head[at : at + 16]
        if len(frame) < measured[0] or (len(following) < mpeg.HEADER_BYTES and not seen.ended):
            break
        if not mpeg.is_index(frame):
            if len(following) >= mpeg.HEADER_BYTES and not _goes_on(following):
                return None
            channels = mpeg.channels(frame)
            return Finding("audio", skip=start, sample_rate=measured[2], channels=channels)
    return _MORE


def _goes_on(following: bytes) -> bool:
    """Whether an MP3 stream may go on so after a frame: with another one, or with a tag."""
    return mpeg.measure(following, 0) is not None or tag_size(following) != 0


def _aac(seen: _Seen) -> Finding | None:
    """Want a whole frame."""
    head = seen.head
    start = tag_size(head[:16])
    if start is None:
        return _MORE
    if not _may_begin(head, start, b"\xff"):
        return None
    if len(head) < start + adts.HEADER_BYTES:
        return _MORE
    measured = adts.measure(head, start)
    if measured is None:
        return None
    if len(head) < start + measured[0]:
        return _MORE
    channels = adts.channels(head[start : start + adts.HEADER_BYTES])
    return Finding("audio", skip=start, sample_rate=measured[2], channels=channels)


def _opus(seen: _Seen) -> Finding | None:
    """Want both header packets and a page with a whole packet of sound."""
    head = seen.head
    if not _may_begin(head, 0, ogg.MAGIC):
        return None
    frames = ogg.OpusFrames(ogg.RATE)
    at = 0
    while (page := ogg.read_page(head, at)) is not None:
        sound = frames.feed(head[at : page.end])
        if frames.extradata is None:
            return _broken("an Ogg stream without Opus in it")
        if frames.broken:
            return _broken(frames.broken)
        if sound:
            return Finding("audio", sample_rate=ogg.RATE, channels=frames.channels)
        at = page.end
    return _MORE


def _flac(seen: _Seen) -> Finding | None:
    """Want all metadata blocks and the header of a frame."""
    head = seen.head
    if not _may_begin(head, 0, flac.MAGIC):
        return None
    if not _may_begin(head, 5, b"\0\0\x22"):  # STREAMINFO has 34 bytes
        return _broken("FLAC without its description")
    at, more_blocks = len(flac.MAGIC), True
    while more_blocks:
        if len(head) < at + flac.BLOCK_HEADER_BYTES:
            return _MORE
        more_blocks, size = flac.read_block_header(head[at : at + flac.BLOCK_HEADER_BYTES])
        at += flac.BLOCK_HEADER_BYTES + size
    if len(head) < at + flac.HEADER_BYTES and not (seen.ended and len(head) > at):
        return _MORE
    if flac.read_frame_header(head, at) is None:
        return _broken("FLAC metadata without a frame after it")
    info = flac.read_stream_info(head[8 : 8 + flac.STREAMINFO_BYTES])
    return Finding(
        "audio", sample_rate=info.sample_rate or None, channels=info.channels, bits=info.bits
    )


def _wav(seen: _Seen) -> Finding | None:
    """Want a header and one sample of every channel."""
    head = seen.head
    header = wav.read_header(head)
    if isinstance(header, str):
        return None if header == wav.NOT_RIFF else _broken(header)
    if header is None or len(head) < header.start + header.block:
        return _MORE
    return Finding(
        "audio",
        sample_rate=header.sample_rate,
        channels=header.channels,
        bits=header.bits,
        data_bytes=header.data_bytes,
    )


def _pcm(seen: _Seen) -> Finding | None:
    """Want one sample. Any bytes are samples, so only what is plainly a text is refused."""
    telling = seen.head[:TELLING_BYTES]
    if is_markup(telling):
        return None
    if not seen.ended and len(telling) < TELLING_BYTES and may_be_markup(telling):
        return _MORE
    return Finding("audio") if len(telling) >= 2 else _MORE  # noqa: PLR2004 - bytes of a sample


_CHECKS: dict[Format, Callable[[_Seen], Finding | None]] = {
    Format.MP3: _mp3,
    Format.OPUS: _opus,
    Format.AAC: _aac,
    Format.FLAC: _flac,
    Format.WAV: _wav,
    Format.PCM: _pcm,
}
"""What each format wants to see; None is "not that format at all"."""


def _may_begin(head: bytes, at: int, magic: bytes) -> bool:
    """Whether the magic stands at ``at``, or may once more bytes have come."""
    return magic.startswith(head[at : at + len(magic)])

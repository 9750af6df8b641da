"""Real audio for the tests: sine waves, and files as other programs would have written them."""

import io
import math
from array import array
from functools import cache
from itertools import pairwise

import av

from gateway.audio.encoder import Encoder
from gateway.audio.formats import Format, Sound

MUXERS = {
    Format.MP3: ("mp3", "libmp3lame", "s16p"),
    Format.OPUS: ("ogg", "libopus", "s16"),
    Format.AAC: ("adts", "aac", "fltp"),
    Format.FLAC: ("flac", "flac", "s16"),
    Format.WAV: ("wav", "pcm_s16le", "s16"),
}


@cache
def tone(seconds: float = 1.0, rate: int = 24_000, hertz: int = 440) -> bytes:
    """A sine wave as s16le mono samples."""
    turn = 2 * math.pi * hertz / rate
    return array(
        "h", (int(12_000 * math.sin(turn * n)) for n in range(int(seconds * rate)))
    ).tobytes()


def hertz_of(pcm: bytes, rate: int) -> float:
    """The frequency of a sine wave, by its zero crossings, away from both ends."""
    samples = array("h", pcm)
    samples = samples[len(samples) // 4 : len(samples) * 3 // 4]
    rises = sum(1 for a, b in pairwise(samples) if a < 0 <= b)
    return rises * rate / len(samples)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@cache
def encoded(wanted: Format, rate: int = 24_000, seconds: float = 1.0) -> bytes:
    """A tone as our own encoder streams it, fed 20 ms at a time."""
    encoder = Encoder(rate, Sound(wanted, rate))
    pieces = [encoder.feed(piece) for piece in cut(tone(seconds, rate), rate // 50 * 2)]
    return b"".join(pieces) + encoder.finish()


@cache
def foreign(
    wanted: Format, rate: int = 24_000, seconds: float = 1.0, layout: str = "mono"
) -> bytes:
    """A tone in a file as FFmpeg writes it: ID3 tag, Xing frame, LIST chunk, known lengths."""
    muxer, codec, sample_format = MUXERS[wanted]
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        container.metadata["title"] = "a tone"
        stream = container.add_stream(codec, rate=rate, layout=layout, format=sample_format)
        frame = av.AudioFrame(format="s16", layout="mono", samples=int(seconds * rate))
        frame.sample_rate = rate
        frame.planes[0].update(tone(seconds, rate))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def played(data: bytes) -> tuple[str, int, int, bytes]:
    """What another player makes of it: (container, rate, channels, s16le mono samples)."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        frames = [f for frame in container.decode(stream) for f in resampler.resample(frame)]
        frames += resampler.resample(None)
        pcm = b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
        return container.format.name, stream.rate, stream.channels, pcm


def chunk(name: bytes, body: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def wav(  # noqa: PLR0913 - every field of the header
    body: bytes,
    *before: bytes,
    tag: int = 1,
    channels: int = 1,
    rate: int = 24_000,
    bits: int = 16,
    size: int | None = None,
) -> bytes:
    """A WAV file with any chunks before its samples, and any size written over them."""
    block = channels * bits // 8
    numbers = ((tag, 2), (channels, 2), (rate, 4), (rate * block, 4), (block, 2), (bits, 2))
    form = b"".join(value.to_bytes(width, "little") for value, width in numbers)
    size = len(body) if size is None else size
    data = b"data" + size.to_bytes(4, "little") + body
    rest = b"WAVE" + b"".join(before) + chunk(b"fmt ", form) + data
    return b"RIFF" + len(rest).to_bytes(4, "little") + rest

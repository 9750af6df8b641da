"""Frames that follow each other bare, each telling its own size: MP3 and ADTS."""

from collections.abc import Callable

from gateway.audio.containers.frames import JUNK_BYTES, Frames

Measure = Callable[[bytes, int], tuple[int, int, int] | None]
"""(data, at) -> bytes, samples per channel and Hz of the frame whose header stands there."""


class SyncedFrames(Frames):
    """The frames of such a stream.

    Tags between frames are skipped without holding them. After anything else the reader is lost
    until it finds a header that is followed by another one where the first frame ends.
    """

    def __init__(self, sample_rate: int, codec: str, header_bytes: int, measure: Measure) -> None:
        super().__init__(sample_rate)
        self.codec = codec
        self._header_bytes = header_bytes
        self._measure = measure
        self._tag_left = 0  # bytes of a tag still to come
        self._lost = False
        self._junk = 0  # bytes passed over since the reader was lost

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the packets they complete."""
        data = self._rest + data
        at = min(self._tag_left, len(data))
        self._tag_left -= at
        frames: list[bytes] = []
        while at + self._header_bytes <= len(data):
            measured = None if self._lost else self._measure(data, at)
            if measured is None:
                found = self._pass_over(data, at)
                if found is None:
                    break
                at = found
                continue
            size, samples, self.sample_rate = measured
            if at + size > len(data):
                break
            frames.append(data[at : at + size])
            self.samples += samples
            at += size
        self._rest = data[at:]
        return frames

    def _pass_over(self, data: bytes, at: int) -> int | None:
        """Tell where to read on after what is no frame; None when that takes more bytes."""
        if not self._lost:
            size = tag_size(data[at : at + 16])
            if size is None:
                return None
            if size:
                self._tag_left = max(0, at + size - len(data))
                return min(at + size, len(data))
            self._lost = True
            self._junk = 0
        return self._find(data, at)

    def _find(self, data: bytes, at: int) -> int | None:
        """Look for the next header that another one confirms; None when that takes more bytes."""
        found = data.find(0xFF, at)
        if found < 0:
            found = len(data)
        self._count_junk(found - at)
        if found + self._header_bytes > len(data):
            return None if found == at else found
        measured = self._measure(data, found)
        if measured is not None:
            following = found + measured[0]
            if following + self._header_bytes > len(data):
                return None if found == at else found
            if self._measure(data, following) is not None:
                self._lost = False
                return found
        self._count_junk(1)
        return found + 1

    def _count_junk(self, count: int) -> None:
        self._junk += count
        if self._junk > JUNK_BYTES:
            self.broken = f"no {self.codec} frame within {JUNK_BYTES} bytes"

    @property
    def complete(self) -> bool:
        """Whether the stream could end here."""
        return not (self._rest or self._lost or self._tag_left)


_TAGS = (b"ID3", b"TAG", b"APETAGEX")


def tag_size(head: bytes) -> int | None:
    """Measure the ID3 or APE tag that ``head`` begins with: 0 for none, None for too few bytes."""
    if head.startswith(b"ID3"):
        return _id3v2_size(head) if len(head) >= 10 else None  # noqa: PLR2004 - its header
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"APETAGEX"):
        return 32 + int.from_bytes(head[12:16], "little") if len(head) >= 16 else None  # noqa: PLR2004
    return None if any(tag.startswith(head) for tag in _TAGS) else 0


def _id3v2_size(head: bytes) -> int:
    """Measure an ID3v2 tag by its ten header bytes: sizes are written seven bits to the byte."""
    footer = 10 if head[5] & 0x10 else 0
    size = 0
    for digit in head[6:10]:
        size = size << 7 | digit & 0x7F
    return 10 + size + footer

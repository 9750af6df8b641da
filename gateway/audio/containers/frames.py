"""What every container reader has in common: bytes go in, whole codec packets come out."""

from abc import ABC, abstractmethod
from typing import Protocol

JUNK_BYTES = 64 * 1024
"""How much of a stream may be unreadable in one stretch before the stream counts as broken."""


class Frames(ABC):
    """Cuts a stream, pushed in pieces of any size, into the packets a codec decodes one by one.

    Never raises on any bytes; what cannot be read is told by ``broken``.
    """

    codec: str
    """FFmpeg's name of the decoder; for wav known once the header has passed."""
    extradata: bytes | None = None
    """What the decoder must know before the first packet, known once the headers have passed."""
    sample_rate: int
    """Hz; what was declared until the stream itself says."""
    channels: int = 1
    """Where a decoder must be told; mp3 and aac tell their own."""
    samples: int = 0
    """Samples per channel that have passed and are meant to be heard."""
    total: int | None = None
    """All samples meant to be heard, once the stream has said where it ends."""
    broken: str = ""
    """Why the stream cannot be read on; empty while it can."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._rest = b""

    @abstractmethod
    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the packets they complete."""

    def finish(self) -> list[bytes]:
        """Give the packets that only the end of the stream completes."""
        return []

    @property
    def complete(self) -> bool:
        """Whether the stream could end here, so not inside a frame nor in anything unreadable."""
        return not self._rest


class Writer(Protocol):
    """Wraps the packets of an encoder, so that they leave at once."""

    def head(self) -> bytes:
        """Give what stands before the first packet."""

    def wrap(self, packet: bytes, end: int | None = None) -> bytes:
        """Wrap one packet; with the last comes ``end``, the samples there were to encode."""

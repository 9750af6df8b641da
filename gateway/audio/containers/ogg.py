"""Ogg pages with Opus in them (RFC 3533, RFC 7845): reading them and writing them."""

import secrets
import zlib
from dataclasses import dataclass

from gateway.audio.containers.frames import JUNK_BYTES, Frames

RATE = 48_000
"""Hz: Opus counts and decodes at this rate, whatever was encoded."""
MAGIC = b"OggS"
HEADER_BYTES = 27

_CONTINUED, _FIRST, _LAST = 1, 2, 4
_PACKET_BYTES = 1 << 20  # more than any packet; bounds what a page-spanning one may grow to


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it ends, its flags, its granule position and the pieces of packets in it."""

    end: int
    flags: int
    granule: int
    pieces: list[bytes]
    open_ended: bool
    """Whether the last piece goes on in the next page."""


def read_page(data: bytes, at: int) -> Page | None:
    """Read the page at ``at``, where the magic stands; None while it is not whole."""
    body = at + HEADER_BYTES
    if len(data) < body or len(data) < body + data[body - 1]:
        return None
    lacing = data[body : body + data[body - 1]]
    start = body = body + len(lacing)
    if len(data) < body + sum(lacing):
        return None
    pieces = []
    for value in lacing:
        body += value
        if value < 255:  # noqa: PLR2004 - a full segment says that the packet goes on
            pieces.append(data[start:body])
            start = body
    open_ended = bool(lacing) and lacing[-1] == 255  # noqa: PLR2004
    if open_ended:
        pieces.append(data[start:body])
    granule = int.from_bytes(data[at + 6 : at + 14], "little", signed=True)
    return Page(body, data[at + 5], granule, pieces, open_ended)


_SILK, _HYBRID, _CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)


def packet_samples(packet: bytes) -> int:
    """Count the samples at 48 kHz in an Opus packet, by its first byte or two."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # noqa: PLR2004 - RFC 6716 table 2
        frame = _SILK[config & 3]
    elif config < 16:  # noqa: PLR2004
        frame = _HYBRID[config & 1]
    else:
        frame = _CELT[config & 3]
    if code < 3:  # noqa: PLR2004
        return frame * min(2, code + 1)
    return min(5760, frame * (packet[1] & 63)) if len(packet) > 1 else 0


class OpusFrames(Frames):
    """The Opus packets of an Ogg stream."""

    codec = "libopus"

    def __init__(self, sample_rate: int) -> None:  # noqa: ARG002 - Opus has but one
        super().__init__(RATE)
        self._packet = b""  # the beginning of one that goes on in the next page
        self._skip = 0  # samples before the first that is meant to be heard
        self._raw = 0  # samples in all packets
        self._origin = 0  # samples before the present logical stream
        self._junk = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the packets they complete."""
        data = self._rest + data
        at = 0
        packets: list[bytes] = []
        while (found := data.find(MAGIC, at)) >= 0:
            self._count_junk(found - at)
            at = found
            page = read_page(data, found)
            if page is None:
                break
            packets += self._packets(page)
            at = page.end
            self._junk = 0
        else:  # no page begins here, but its magic may be cut
            keep = min(len(data) - at, len(MAGIC) - 1)
            self._count_junk(len(data) - keep - at)
            at = len(data) - keep
        self._rest = data[at:]
        return packets

    def _packets(self, page: Page) -> list[bytes]:
        """Join a page's pieces to packets, set headers aside and count the samples."""
        pieces = list(page.pieces)
        if page.flags & _CONTINUED and pieces:
            pieces[0] = self._packet + pieces[0]
        self._packet = pieces.pop() if page.open_ended else b""
        if len(self._packet) > _PACKET_BYTES:
            self.broken = "an Opus packet without end"
        packets = [piece for piece in pieces if self._is_sound(piece)]
        self._raw += sum(map(packet_samples, packets))
        if page.flags & _LAST and page.granule > 0:
            self._raw = min(self._raw, self._origin + page.granule)
            self.total = max(0, self._raw - self._skip)
        self.samples = max(0, self._raw - self._skip)
        return packets

    def _is_sound(self, packet: bytes) -> bool:
        """Tell sound from the two header packets, which are read here."""
        if packet.startswith(b"OpusHead") and len(packet) >= 19:  # noqa: PLR2004 - its fixed part
            if self.extradata is None:
                self._skip = int.from_bytes(packet[10:12], "little")
                self.extradata, self.channels = packet, packet[9]
            if not 1 <= packet[9] <= 8:  # noqa: PLR2004 - more have no layout
                self.broken = f"an Opus stream of {packet[9]} channels"
            self._origin = self._raw
            self.total = None
            return False
        return bool(packet) and self.extradata is not None and not packet.startswith(b"OpusTags")

    def _count_junk(self, count: int) -> None:
        self._junk += count
        if self._junk > JUNK_BYTES:
            self.broken = f"no Ogg page within {JUNK_BYTES} bytes"

    @property
    def complete(self) -> bool:
        """Whether the stream could end here."""
        return not (self._rest or self._packet or self._junk)


_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(page: bytes) -> int:
    """Compute Ogg's checksum: zlib's, with every bit order turned round and nothing inverted."""
    mirrored = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRROR), "big")


class OpusWriter:
    """Puts each Opus packet into a page of its own, so that none waits for the next."""

    def __init__(self, opus_head: bytes) -> None:
        self._opus_head = opus_head
        self._serial = secrets.randbits(32)
        self._pages = 0
        self._granule = 0

    def head(self) -> bytes:
        """Give the two header pages."""
        tags = b"OpusTags" + len(b"voxroute").to_bytes(4, "little") + b"voxroute" + bytes(4)
        return self._page(self._opus_head, _FIRST) + self._page(tags, 0)

    def wrap(self, packet: bytes, end: int | None = None) -> bytes:
        """Page one packet; ``end`` is given with the last: all samples encoded, at 48 kHz."""
        self._granule += packet_samples(packet)
        if end is None:
            return self._page(packet, 0)
        skip = int.from_bytes(self._opus_head[10:12], "little")
        self._granule = min(self._granule, end + skip)
        return self._page(packet, _LAST)

    def _page(self, packet: bytes, flags: int) -> bytes:
        lacing = b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,))
        before = (
            MAGIC
            + bytes((0, flags))
            + self._granule.to_bytes(8, "little")
            + self._serial.to_bytes(4, "little")
            + self._pages.to_bytes(4, "little")
        )
        after = bytes((len(lacing),)) + lacing + packet
        self._pages += 1
        return before + checksum(before + bytes(4) + after).to_bytes(4, "little") + after

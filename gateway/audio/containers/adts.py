"""ADTS, the frames AAC streams in: reading and writing their headers."""

from gateway.audio.containers.synced import SyncedFrames

HEADER_BYTES = 7
SAMPLE_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000),
    *(22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)


def measure(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Read a frame header: bytes and samples of its frame, Hz; None where none stands."""
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:  # noqa: PLR2004 - the sync word, layer 0
        return None
    rate = data[at + 2] >> 2 & 0xF
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate >= len(SAMPLE_RATES) or size <= HEADER_BYTES:
        return None
    return size, 1024 * ((data[at + 6] & 3) + 1), SAMPLE_RATES[rate]


def channels(header: bytes) -> int:
    """Tell how many a frame's header says; 0 leaves it to the frame, which is taken for one."""
    count = (header[2] & 1) << 2 | header[3] >> 6
    return 8 if count == 7 else max(1, count)  # noqa: PLR2004 - 7 means 7.1


class AdtsFrames(SyncedFrames):
    """The frames of an AAC stream, headers included: FFmpeg's decoder reads them itself."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, "aac", HEADER_BYTES, measure)


class AdtsWriter:
    """Puts a header before each AAC-LC packet."""

    def __init__(self, sample_rate: int) -> None:
        self._profile_rate_channels = (1 << 4 | SAMPLE_RATES.index(sample_rate)) << 4 | 1

    def head(self) -> bytes:
        """Give what stands before the first packet: nothing."""
        return b""

    def wrap(self, packet: bytes, end: int | None = None) -> bytes:  # noqa: ARG002 - Ogg asks
        """Frame one mono packet: MPEG-4, no checksum, variable bit rate."""
        size = HEADER_BYTES + len(packet)
        fields = (self._profile_rate_channels << 17 | size) << 13 | 0x1FFC
        return b"\xff\xf1" + fields.to_bytes(5, "big") + packet

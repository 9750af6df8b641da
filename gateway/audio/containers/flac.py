"""FLAC (RFC 9639): metadata and frame headers, read by hand; cut into frames as they come."""

from dataclasses import dataclass

from gateway.audio.containers.frames import Frames

MAGIC = b"fLaC"
BLOCK_HEADER_BYTES = 4
STREAMINFO_BYTES = 34
HEADER_BYTES = 16
"""The longest a frame header can be."""
LEAST_RATE = 1_000
"""Hz; below it a stream only claims to know its rate."""
_FRAME_BYTES = 1 << 20  # more than any frame of speech; bounds what is held of one


def read_block_header(data: bytes) -> tuple[bool, int]:
    """Read a metadata block's header: whether more blocks follow, and the bytes in this one."""
    return data[0] < 128, int.from_bytes(data[1:BLOCK_HEADER_BYTES], "big")  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the first metadata block says of the whole stream; 0 samples when it did not know."""

    sample_rate: int
    channels: int
    bits: int
    samples: int


def read_stream_info(block: bytes) -> StreamInfo:
    """Read the 34 bytes of a STREAMINFO block."""
    fields = int.from_bytes(block[10:18], "big")
    return StreamInfo(
        sample_rate=fields >> 44,
        channels=(fields >> 41 & 7) + 1,
        bits=(fields >> 36 & 31) + 1,
        samples=fields & (1 << 36) - 1,
    )


def _crc_table(polynomial: int, bits: int) -> list[int]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def is_whole(frame: bytes) -> bool:
    """Check a frame by the checksum it ends with."""
    value = 0
    for byte in frame:
        value = (value << 8 & 0xFF00) ^ _CRC16[value >> 8 ^ byte]
    return value == 0


_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << n for n in range(8)))


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a frame says of itself: its place in the stream and the samples in it."""

    number: int
    """Of the frame, or of its first sample where ``variable``."""
    samples: int
    variable: bool

    @property
    def next(self) -> int:
        """The number of the frame that must follow."""
        return self.number + (self.samples if self.variable else 1)


def read_frame_header(data: bytes, at: int) -> FrameHeader | None:
    """Read the frame header at ``at``; None where none stands whole with a right checksum."""
    head = data[at : at + HEADER_BYTES]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:  # noqa: PLR2004 - sync
        return None
    block, rate = head[2] >> 4, head[2] & 15
    coded = 8 - (head[4] ^ 0xFF).bit_length()  # leading ones of the coded number
    if not block or rate == 15 or head[3] & 1 or head[3] >> 4 > 10 or coded in (1, 8):  # noqa: PLR2004
        return None
    at = 4 + max(1, coded)
    number = head[4] & (0x7F >> coded)
    for byte in head[5:at]:
        number = number << 6 | byte & 0x3F
    width = {6: 1, 7: 2}.get(block, 0)
    samples = int.from_bytes(head[at : at + width], "big") + 1 if width else _BLOCK_SIZES[block]
    at += width + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return FrameHeader(number, samples, variable=bool(head[1] & 1))


class FlacFrames(Frames):
    """The frames of a FLAC stream; one is known to be whole when the next begins."""

    codec = "flac"

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._info: StreamInfo | None = None
        self._more_blocks = True  # whether metadata blocks are still to come
        self._block_left = 0  # bytes of the present block still to be passed over
        self._frame: FrameHeader | None = None  # the one that ``_rest`` begins with
        self._sync = b"\xff\xf8"  # how every frame of this stream begins
        self._seen = 0  # bytes of ``_rest`` already searched for the next frame

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the frames they complete."""
        self._rest += data
        if self._in_metadata():
            return []
        frames = self._cut(len(self._rest) - HEADER_BYTES)
        if len(self._rest) > _FRAME_BYTES:
            self.broken = f"no FLAC frame within {_FRAME_BYTES} bytes"
            self._rest, self._seen, self._frame = b"", 0, None
        return frames

    def finish(self) -> list[bytes]:
        """Give what only the end of the stream completes: the last frame."""
        if self._in_metadata():
            return []
        frames = self._cut(len(self._rest))
        if self._frame is not None:
            frames.append(self._rest)
        return frames

    @property
    def complete(self) -> bool:
        """Whether the stream could end here: after a whole frame, and not before its own count."""
        if self._frame is None or self._info is None or self.samples < self._info.samples:
            return False
        return is_whole(self._rest)

    def _in_metadata(self) -> bool:
        """Pass over what stands before the first frame, keeping nothing but STREAMINFO."""
        if self._info is None and not self._read_stream_info():
            return True
        while True:
            passed = min(self._block_left, len(self._rest))
            self._rest = self._rest[passed:]
            self._block_left -= passed
            if self._block_left or (self._more_blocks and len(self._rest) < BLOCK_HEADER_BYTES):
                return True
            if not self._more_blocks:
                return False
            self._more_blocks, self._block_left = read_block_header(self._rest)
            self._rest = self._rest[BLOCK_HEADER_BYTES:]

    def _read_stream_info(self) -> bool:
        """Read the first block; false while it is not whole, or where there is none."""
        if not (self._rest + MAGIC[len(self._rest) :]).startswith(MAGIC):
            self.broken = "not FLAC"
        end = len(MAGIC) + BLOCK_HEADER_BYTES + STREAMINFO_BYTES
        if self.broken or len(self._rest) < end:
            self._rest = b"" if self.broken else self._rest
            return False
        self.extradata = self._rest[end - STREAMINFO_BYTES : end]
        self._info = read_stream_info(self.extradata)
        if self._info.sample_rate >= LEAST_RATE:
            self.sample_rate = self._info.sample_rate
        self.channels = self._info.channels
        self._more_blocks, size = read_block_header(self._rest[len(MAGIC) :])
        self._block_left = max(0, size - STREAMINFO_BYTES)
        self._rest = self._rest[end:]
        return True

    def _cut(self, limit: int) -> list[bytes]:
        """Cut ``_rest`` before each frame that begins before ``limit``; keep the last one."""
        data, start, at = self._rest, 0, self._seen
        frames: list[bytes] = []
        if self._frame is None and data.startswith(b"\xff\xf9"):
            self._sync = b"\xff\xf9"
        while 0 <= (found := data.find(self._sync, at)) < limit:
            header = read_frame_header(data, found)
            at = found + 1
            if header is None or (self._frame is not None and header.number != self._frame.next):
                continue
            if self._frame is not None:
                frames.append(data[start:found])
            start, self._frame = found, header
            self.samples += header.samples
        searched = found if found >= 0 else max(at, len(data) - 1)
        self._rest, self._seen = data[start:], searched - start
        return frames


class FlacWriter:
    """Puts the magic and STREAMINFO before the encoder's frames, which need nothing else."""

    def __init__(self, stream_info: bytes) -> None:
        self._stream_info = stream_info

    def head(self) -> bytes:
        """Give what stands before the first frame: STREAMINFO as the first and last block."""
        return MAGIC + b"\x80\0\0" + bytes((len(self._stream_info),)) + self._stream_info

    def wrap(self, packet: bytes, end: int | None = None) -> bytes:  # noqa: ARG002 - Ogg asks
        """Give the frame as it is."""
        return packet

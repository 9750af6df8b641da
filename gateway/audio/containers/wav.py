"""RIFF WAVE, and samples without any header: reading and writing by hand.

PyAV holds 1.4 s of a streamed WAV file back before it gives the first sample; forty-four bytes of
header are no reason to.
"""

from dataclasses import dataclass

from gateway.audio.containers.frames import Frames

HEAD_BYTES = 256 * 1024
"""How far into a file its samples may begin."""
_STREAMED_BYTES = 0x7FFF_0000
"""From this size on, a chunk's size is what a writer puts who does not know it."""
NOT_RIFF = "not a WAV file"
_EXTENSIBLE = 0xFFFE
_CODECS = {  # (format tag, bits) -> FFmpeg's decoder
    (1, 8): "pcm_u8",
    (1, 16): "pcm_s16le",
    (1, 24): "pcm_s24le",
    (1, 32): "pcm_s32le",
    (3, 32): "pcm_f32le",
    (3, 64): "pcm_f64le",
    (6, 8): "pcm_alaw",
    (7, 8): "pcm_mulaw",
}


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What stands before the samples of a WAV file."""

    start: int
    """Where the first sample stands."""
    codec: str
    sample_rate: int
    channels: int
    bits: int
    data_bytes: int | None
    """How many bytes of samples follow; None when the writer did not know."""

    @property
    def block(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8


def read_header(head: bytes) -> WavHeader | str | None:
    """Read up to the first sample, whatever chunks come before it.

    None while that takes more bytes; a text saying why it can never be.
    """
    if not _may_be_riff(head):
        return NOT_RIFF
    form, at = b"", 12
    while len(head) >= at + 8:
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        at += 8
        if name == b"data":
            return _header(form, at, size) if form else "a WAV file without a format"
        if name == b"fmt ":
            if size < 16:  # noqa: PLR2004 - the fixed part
                return "a WAV file with a broken format"
            form = head[at : at + min(size, 40)]
        at += size + size % 2
        if at > HEAD_BYTES:
            return "a WAV file without samples near its beginning"
    return None


def _may_be_riff(head: bytes) -> bool:
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def _header(form: bytes, start: int, size: int) -> WavHeader | str:
    """Read the format chunk and the size of the samples, as they were written."""
    tag, channels = int.from_bytes(form[:2], "little"), int.from_bytes(form[2:4], "little")
    sample_rate, bits = int.from_bytes(form[4:8], "little"), int.from_bytes(form[14:16], "little")
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(form[24:26], "little")
    codec = _CODECS.get((tag, bits))
    if codec is None:
        return f"a WAV file of an unknown kind (tag {tag}, {bits} bits)"
    if not 1 <= channels <= 8 or not 1_000 <= sample_rate <= 384_000:  # noqa: PLR2004 - bounds
        return f"a WAV file with {channels} channels at {sample_rate} Hz"
    data_bytes = size if 0 < size < _STREAMED_BYTES else None
    return WavHeader(start, codec, sample_rate, channels, bits, data_bytes)


def streamed_header(sample_rate: int) -> bytes:
    """Write the header of mono 16 bit samples whose number nobody knows yet: 44 bytes."""
    unknown = b"\xff\xff\xff\xff"
    form = (1).to_bytes(2, "little") * 2 + sample_rate.to_bytes(4, "little")
    form += (sample_rate * 2).to_bytes(4, "little") + b"\x02\0\x10\0"
    return b"RIFF" + unknown + b"WAVEfmt \x10\0\0\0" + form + b"data" + unknown


def file_of(pcm: bytes, sample_rate: int) -> bytes:
    """A whole file of mono 16 bit samples."""
    head = streamed_header(sample_rate)
    size, all_after = len(pcm), len(head) - 8 + len(pcm)
    return (
        head[:4] + all_after.to_bytes(4, "little") + head[8:-4] + size.to_bytes(4, "little") + pcm
    )


class PcmFrames(Frames):
    """Samples without a header: given on at once, cut where a sample ends."""

    codec = "pcm_s16le"
    _block = 2

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the whole samples among them."""
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % self._block
        self._rest = data[whole:]
        self.samples += whole // self._block
        return [data[:whole]] if whole else []


class WavFrames(PcmFrames):
    """The samples of a WAV file, and nothing that stands before or after them."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate)
        self._head = b""  # what has come of the header
        self._header: WavHeader | None = None
        self._left: int | None = None  # bytes of samples still to come, where the header says

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the whole samples among them."""
        if self._header is None:
            data = self._read(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return super().feed(data)

    def _read(self, data: bytes) -> bytes:
        """Read the header once it is whole; give what follows it."""
        self._head += data
        header = read_header(self._head)
        if isinstance(header, str):
            self.broken, self._head = header, b""
        if not isinstance(header, WavHeader):
            return b""
        self._header, self._left, self._block = header, header.data_bytes, header.block
        self.codec, self.sample_rate = header.codec, header.sample_rate
        self.channels = header.channels
        data, self._head = self._head[header.start :], b""
        return data

    @property
    def complete(self) -> bool:
        """Whether the stream could end here: all the bytes came that the header spoke of."""
        return self._header is not None and not self._left and not self._rest


class PcmWriter:
    """Gives samples as they are."""

    def head(self) -> bytes:
        """Give what stands before the first sample: nothing."""
        return b""

    def wrap(self, packet: bytes, end: int | None = None) -> bytes:  # noqa: ARG002 - Ogg asks
        """Give the samples as they are."""
        return packet


class WavWriter(PcmWriter):
    """Puts one header before the samples."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate

    def head(self) -> bytes:
        """Give the header of a file whose length is not known."""
        return streamed_header(self._sample_rate)

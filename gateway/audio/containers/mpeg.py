"""MPEG audio layer III, known as MP3: what its frame headers say."""

from gateway.audio.containers.synced import SyncedFrames

HEADER_BYTES = 4

_KILOBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_VERSIONS = (  # version bits, samples per frame, bit rates, sample rates
    (3, 1152, _KILOBITS_1, (44_100, 48_000, 32_000)),
    (2, 576, _KILOBITS_2, (22_050, 24_000, 16_000)),
    (0, 576, _KILOBITS_2, (11_025, 12_000, 8_000)),
)


def _every_header() -> dict[bytes, tuple[int, int, int]]:
    """Tabulate the first three bytes of every frame there can be: the walk is on the hot path."""
    headers = {}
    for version, samples, bit_rates, sample_rates in _VERSIONS:
        for bits, kilobits in enumerate(bit_rates, start=1):
            for hertz, sample_rate in enumerate(sample_rates):
                size = samples * 125 * kilobits // sample_rate
                for low in range(8):  # no checksum, padding, private bit
                    second = 0xE2 | version << 3 | low & 1
                    third = bits << 4 | hertz << 2 | low & 2 | low >> 2
                    padding = 1 if low & 2 else 0
                    headers[bytes((0xFF, second, third))] = (size + padding, samples, sample_rate)
    return headers


_HEADERS = _every_header()


def measure(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Read a frame header: bytes and samples of its frame, Hz; None where none stands."""
    return _HEADERS.get(data[at : at + 3])


def channels(frame: bytes) -> int:
    """Tell one or two from a frame's header."""
    return 1 if frame[3] >> 6 == 3 else 2  # noqa: PLR2004 - 3 is mono


def is_index(frame: bytes) -> bool:
    """Tell a Xing, Info or VBRI frame, which describes the others and holds no sound."""
    head = frame[:48]
    return b"Xing" in head or b"Info" in head or b"VBRI" in head


class MpegFrames(SyncedFrames):
    """The frames of an MP3 stream, without tags and without the index frame."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, "mp3float", HEADER_BYTES, measure)
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the frames they complete."""
        frames = super().feed(data)
        if frames and not self._begun:
            self._begun = True
            if is_index(frames[0]):
                self.samples -= 1152 if frames.pop(0)[1] & 0x08 else 576
        return frames

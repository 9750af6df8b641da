"""PyAV's frames and bare samples, turned into each other and from one rate to another."""

from av import AudioFrame, AudioResampler


def frame_of(pcm: bytes, sample_rate: int) -> AudioFrame:
    """Wrap whole s16le mono samples, at least one."""
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = sample_rate
    frame.planes[0].update(pcm)
    return frame


def bytes_of(frame: AudioFrame) -> bytes:
    """Give the s16le samples of a mono frame, without the padding of its buffer."""
    return bytes(frame.planes[0])[: frame.samples * 2]


class Resampler:
    """Turns frames of any rate, layout and sample format into s16le mono at one rate."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def convert(self, frame: AudioFrame) -> bytes:
        """Give the samples of a frame, which may be unlike the ones before it."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = b"" if kind == self._kind else self.finish()
        resampler = self._resampler or AudioResampler("s16", "mono", self._sample_rate)
        frame.pts = None  # a decoder's guess, by which gaps would be filled
        converted = resampler.resample(frame)
        self._kind, self._resampler = kind, resampler  # only once it has taken a frame
        return before + b"".join(map(bytes_of, converted))

    def finish(self) -> bytes:
        """Give what the filter still holds."""
        resampler, self._resampler = self._resampler, None
        return b"".join(map(bytes_of, resampler.resample(None))) if resampler else b""

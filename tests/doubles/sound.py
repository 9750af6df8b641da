"""Sound to send and ways to look at what came: made and read with PyAV, not our own codecs."""

import io
import math
import struct
from dataclasses import dataclass
from functools import cache

import av

RATE = 24_000
_CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "aac": ("adts", "aac"),
    "flac": ("flac", "flac"),
    "wav": ("wav", "pcm_s16le"),
}


def tone(seconds: float, rate: int = RATE, pitch: float = 440.0) -> bytes:
    """A sine as s16le mono."""
    step = 2 * math.pi * pitch / rate
    samples = (int(12_000 * math.sin(step * n)) for n in range(round(seconds * rate)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


@cache
def clip(form: str, seconds: float = 1.0) -> bytes:
    """A tone of so many seconds in a format, as FFmpeg's own muxer writes it."""
    pcm = tone(seconds)
    if form == "pcm":
        return pcm
    container_name, codec = _CODECS[form]
    file = io.BytesIO()
    with av.open(file, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = RATE
        frame.planes[0].update(pcm)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        for piece in resampler.resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


@dataclass(frozen=True)
class Read:
    """What a decoder makes of some audio."""

    rate: int
    channels: int
    seconds: float
    loudest: int


def read(audio: bytes, form: str, rate: int = RATE) -> Read:
    """Decode with FFmpeg; headerless pcm is taken at its word."""
    if form == "pcm":
        return Read(rate, 1, len(audio) / 2 / rate, _loudest(audio))
    pcm, channels, seen = b"", 0, 0
    with av.open(io.BytesIO(audio)) as container:
        stream = container.streams.audio[0]
        seen, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        resampler = av.AudioResampler(format="s16", layout="mono", rate=seen)
        for frame in container.decode(stream):
            for piece in resampler.resample(frame):
                pcm += bytes(piece.planes[0])[: piece.samples * 2]
    return Read(seen, channels, len(pcm) / 2 / seen, _loudest(pcm))


def _loudest(pcm: bytes) -> int:
    count = len(pcm) // 2
    return max((abs(each) for each in struct.unpack(f"<{count}h", pcm[: count * 2])), default=0)

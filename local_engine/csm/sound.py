"""A recording as samples that the codec takes: mono, at its rate, and never more than allowed."""

from io import BytesIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from local_engine.csm.running import Samples

_RATES = range(1_000, 768_001)
_FULL = np.float32(32_768)


class SoundError(Exception):
    """Bytes that are no recording, or one that is not taken; the message says why."""


def read_wav(data: bytes, rate: int, most_seconds: float) -> Samples:
    """Read a WAV file of any sample format and rate, its channels mixed evenly.

    Only PCM in RIFF is opened, and no more than `most_seconds` of it are decoded. SoundError if it
    is something else, longer or empty.
    """
    try:
        with av.open(BytesIO(data), mode="r", format="wav") as file:
            samples = _mono(file, rate, most_seconds)
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise SoundError(f"it is not a WAV file that can be read: {error}") from None
    if not samples.size:
        raise SoundError("it holds no samples")
    if not np.isfinite(samples).all():
        raise SoundError("it holds samples that are no numbers")
    return np.clip(samples, -1, 1)


def read_pcm(data: bytes) -> Samples:
    """Read s16le samples that have the codec's rate already."""
    if len(data) % 2:
        raise SoundError("it ends in the middle of a sample")
    return np.frombuffer(data, "<i2").astype(np.float32) / _FULL


def _mono(file: InputContainer, rate: int, most_seconds: float) -> Samples:
    stream = file.streams.audio[0]
    if not stream.codec_context.name.startswith("pcm_"):
        raise SoundError(f"it holds {stream.codec_context.name}, which is not PCM")
    if stream.rate not in _RATES:
        raise SoundError(f"it has {stream.rate} samples a second")
    resampler = AudioResampler("fltp", stream.layout.name, rate)
    heard, blocks = 0.0, []
    for frame in file.decode(stream):
        heard += frame.samples / stream.rate
        if heard > most_seconds:
            raise SoundError(f"it is longer than {most_seconds:g} seconds")
        blocks += resampler.resample(frame)
    blocks += resampler.resample(None)
    mixed: list[Samples] = [np.zeros(0, np.float32), *map(_mixed, blocks)]
    return np.concatenate(mixed, dtype=np.float32)


def _mixed(block: AudioFrame) -> Samples:
    return np.asarray(block.to_ndarray().mean(axis=0), np.float32)

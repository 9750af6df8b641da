"""A recording as samples that the codec takes: mono, at its rate, and never more than allowed."""

from collections.abc import Iterator
from io import BytesIO
from struct import Struct

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from local_engine.csm.running import Samples

MOST_SECONDS = 60.0
"""Of one recording, be it a voice's or a turn's."""
_MOST_CHANNELS = 8
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 384_000
_TAKEN = frozenset(
    f"pcm_{kind}" for kind in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw")
)
WAV_KINDS = "PCM of 8, 16, 24 or 32 bits, float, A-law or u-law"
"""What `_TAKEN` comes to, for who has to send it."""
_FULL = np.float32(32_768)
_RIFF = Struct("<4sI4s")
_CHUNK = Struct("<4sI")
_ENDLESS = 0x7FFF_0000
"""Sizes from here on are those of files that were streamed."""


class SoundError(Exception):
    """Bytes that are no recording, or one that is not taken; the message says why."""


def read_wav(data: bytes, rate: int, most_seconds: float = MOST_SECONDS) -> Samples:
    """Read a WAV file of any of WAV_KINDS and any rate, its channels mixed evenly.

    No other codec is opened, and no more than `most_seconds` are decoded. SoundError if it is
    something else, cut off, longer or empty.
    """
    _refuse_cut(data)
    options = {"codec_whitelist": ",".join(sorted(_TAKEN))}
    try:
        with av.open(BytesIO(data), mode="r", format="wav", options=options) as file:
            samples = _mono(file, rate, most_seconds)
    except (av.error.FFmpegError, IndexError, ValueError):
        raise SoundError("it is not a WAV file that can be read") from None
    if not samples.size:
        raise SoundError("it holds no samples")
    if not np.isfinite(samples).all():
        raise SoundError("it holds samples that are no numbers")
    return np.clip(samples, -1, 1)


def wav_to_pcm(data: bytes, rate: int, most_seconds: float = MOST_SECONDS) -> bytes:
    """Read a WAV file as above into s16le samples; those that are so already stay what they are."""
    whole = np.rint(read_wav(data, rate, most_seconds) * _FULL)
    pcm: bytes = whole.clip(-_FULL, _FULL - 1).astype("<i2").tobytes()
    return pcm


def read_pcm(data: bytes) -> Samples:
    """Read s16le samples that have the codec's rate already."""
    if len(data) % 2:
        raise SoundError("it ends in the middle of a sample")
    return np.frombuffer(data, "<i2").astype(np.float32) / _FULL


def _refuse_cut(data: bytes) -> None:
    """Refuse what has fewer samples than it says; FFmpeg would take what there is."""
    place = _RIFF.size
    while place + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, place)
        place += _CHUNK.size
        if name == b"data":
            if len(data) - place < size < _ENDLESS:
                raise SoundError("it ends before its samples do")
            return
        place += size + size % 2


def _mono(file: InputContainer, rate: int, most_seconds: float) -> Samples:
    stream = file.streams.audio[0]
    _refuse(stream)
    # Packed: of planes, PyAV 18 gives eight or more channels addresses that are not theirs.
    resampler = AudioResampler("flt", stream.layout.name, rate)
    mixed = [np.zeros(0, np.float32)]
    for frame in _decoded(file, stream, most_seconds):
        mixed += map(_mixed, resampler.resample(frame))
    mixed += map(_mixed, resampler.resample(None))
    return np.concatenate(mixed, dtype=np.float32)


def _refuse(stream: AudioStream) -> None:
    codec = getattr(stream.codec_context, "name", "what nobody knows")  # FFmpeg may find none
    channels = stream.layout.nb_channels
    if codec not in _TAKEN:
        raise SoundError(f"it holds {codec}; {WAV_KINDS} are taken")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise SoundError(f"it has {channels} channels; 1 to {_MOST_CHANNELS} are taken")
    if not _LOWEST_RATE <= stream.rate <= _HIGHEST_RATE:
        allowed = f"{_LOWEST_RATE} to {_HIGHEST_RATE}"
        raise SoundError(f"its rate is {stream.rate} Hz; {allowed} are taken")


def _decoded(
    file: InputContainer, stream: AudioStream, most_seconds: float
) -> Iterator[AudioFrame]:
    heard = 0
    for frame in file.decode(stream):
        heard += frame.samples
        if heard > most_seconds * stream.rate:
            raise SoundError(f"it is longer than {most_seconds:g} seconds")
        yield frame


def _mixed(block: AudioFrame) -> Samples:
    samples = block.to_ndarray().reshape(-1, block.layout.nb_channels)
    return np.asarray(samples.mean(axis=1), np.float32)

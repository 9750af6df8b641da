"""The audio formats a client may ask for and a provider may answer with."""

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """What speech may be wrapped in, by the name it has in a request."""

    MP3 = "mp3"
    OPUS = "opus"  # in Ogg pages
    AAC = "aac"  # in ADTS frames
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"  # no header: signed 16 bit, little endian, mono


@dataclass(frozen=True, slots=True)
class Sound:
    """How some audio bytes are to be read, or are wanted."""

    format: Format
    sample_rate: int
    """Hz: what the samples of pcm and wav are at, what a compressed target is encoded at."""


class BrokenAudio(Exception):
    """Bytes that cannot be read as the audio they were declared to be; says why in plain words."""


_STANDARD_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

SAMPLE_RATES: dict[Format, tuple[int, ...]] = {
    Format.MP3: _STANDARD_RATES,
    Format.OPUS: (8_000, 12_000, 16_000, 24_000, 48_000),
    Format.AAC: _STANDARD_RATES,
    Format.FLAC: _STANDARD_RATES,
    Format.WAV: _STANDARD_RATES,
    Format.PCM: _STANDARD_RATES,
}

_CONTENT_TYPES = {
    Format.MP3: "audio/mpeg",
    Format.OPUS: "audio/opus",
    Format.AAC: "audio/aac",
    Format.FLAC: "audio/flac",
    Format.WAV: "audio/wav",
}


def content_type(sound: Sound) -> str:
    """Name the media type; headerless samples say how they are to be played."""
    if sound.format is Format.PCM:
        return f"audio/pcm;rate={sound.sample_rate};channels=1"
    return _CONTENT_TYPES[sound.format]

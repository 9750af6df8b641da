"""The two ways samples leave: bare, or behind a WAV header that does not know their number yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import pack

_SAMPLE_BYTES = 2
_UNKNOWN_SIZE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Format:
    """A response format: its content type and what stands before the samples (s16le, mono)."""

    content_type: str
    header: bytes


def formats_at(sample_rate: int) -> Mapping[str, Format]:
    """Give the formats by name, for samples of this rate in Hz."""
    return {
        "wav": Format("audio/wav", _wav_header(sample_rate)),
        "pcm": Format(f"audio/pcm;rate={sample_rate};channels=1", b""),
    }


def _wav_header(sample_rate: int) -> bytes:
    """Build the header of a streamed file: only `fmt ` before `data`, sizes at their greatest."""
    bytes_a_second = sample_rate * _SAMPLE_BYTES
    fmt = pack("<HHIIHH", 1, 1, sample_rate, bytes_a_second, _SAMPLE_BYTES, _SAMPLE_BYTES * 8)
    size = pack("<I", _UNKNOWN_SIZE)
    return b"RIFF" + size + b"WAVEfmt " + pack("<I", len(fmt)) + fmt + b"data" + size

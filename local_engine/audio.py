"""The two ways samples leave: bare, or behind a WAV header that does not know their number yet."""

from dataclasses import dataclass
from struct import pack

from local_engine.espeak.library import SAMPLE_RATE

_SAMPLE_BYTES = 2
_UNKNOWN_SIZE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Format:
    """A response format: its content type and what stands before the samples (s16le, mono)."""

    content_type: str
    header: bytes


def _wav_header() -> bytes:
    """Build the header of a streamed file: only `fmt ` before `data`, sizes at their greatest."""
    fmt = pack(
        "<HHIIHH", 1, 1, SAMPLE_RATE, SAMPLE_RATE * _SAMPLE_BYTES, _SAMPLE_BYTES, _SAMPLE_BYTES * 8
    )
    size = pack("<I", _UNKNOWN_SIZE)
    return b"RIFF" + size + b"WAVEfmt " + pack("<I", len(fmt)) + fmt + b"data" + size


FORMATS = {
    "wav": Format("audio/wav", _wav_header()),
    "pcm": Format(f"audio/pcm;rate={SAMPLE_RATE};channels=1", b""),
}

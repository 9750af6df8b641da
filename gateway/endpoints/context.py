"""`context` at the door: what was said before, checked and turned into turns for the wires."""

import base64
import binascii
import re
from collections.abc import Sequence

from gateway.audio.containers import wav
from gateway.endpoints.decoding import wrong
from gateway.endpoints.shapes import ContextTurn
from providers import Turn

MOST_TURNS = 10
MOST_CHARACTERS = 10_000
MOST_AUDIO_BYTES = 8_000_000
_DATA_URL = re.compile(r"data:audio/(?:wav|x-wav|wave|vnd\.wave);base64,", re.IGNORECASE)
_WANTED = "the base64 of a WAV file, bare or after data:audio/wav;base64,"


def read_context(turns: Sequence[ContextTurn] | None) -> tuple[Turn, ...]:
    """The turns, oldest first; InvalidRequest names the one that is wrong, and why."""
    given = turns or ()
    if len(given) > MOST_TURNS:
        raise wrong("context", f"has {len(given)} turns; at most {MOST_TURNS} are taken")
    if sum(len(turn.text) for turn in given) > MOST_CHARACTERS:
        raise wrong("context", f"its texts have more than {MOST_CHARACTERS} characters")
    taken = tuple(_turn(turn, f"context.{place}") for place, turn in enumerate(given))
    if sum(len(turn.audio or b"") for turn in taken) > MOST_AUDIO_BYTES:
        raise wrong("context", f"its audio has more than {MOST_AUDIO_BYTES} bytes")
    return taken


def _turn(turn: ContextTurn, field: str) -> Turn:
    if not turn.text.strip():
        raise wrong(f"{field}.text", "is empty; give the words that were said")
    if "\0" in turn.text:
        raise wrong(f"{field}.text", "NUL characters (\\u0000) are not text")
    if turn.generation_id is not None:
        not_kept = "the audio of a generation is not kept for a context; send it as audio, "
        raise wrong(f"{field}.generation_id", not_kept + _WANTED)
    audio = None if turn.audio is None else _audio(turn.audio, f"{field}.audio")
    return Turn(str(turn.speaker), turn.text, audio)


def _audio(encoded: str, field: str) -> bytes:
    """A whole WAV file."""
    head = _DATA_URL.match(encoded)
    try:
        audio = base64.b64decode(encoded[head.end() :] if head else encoded, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(field, f"must be {_WANTED}") from None
    header = wav.read_header(audio)
    if isinstance(header, str):
        raise wrong(field, f"{header}; it must be {_WANTED}")
    if header is None or len(audio) < header.start + max(header.block, header.data_bytes or 0):
        raise wrong(field, "a WAV file that ends before its samples do")
    return audio

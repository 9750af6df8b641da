"""`context` at the door: what was said before, checked and turned into the engine's turns."""

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

from local_engine.csm.messages import Turn
from local_engine.csm.sound import WAV_KINDS, SoundError, wav_to_pcm
from local_engine.errors import Refusal

MOST_TURNS = 10
MOST_CHARACTERS = 10_000
_MOST_SPEAKER = 200
_WANTED = f"the base64 of a WAV file ({WAV_KINDS})"
_DATA_URL = re.compile(r"data:audio/[\w.+-]+;base64,", re.IGNORECASE)


class ContextTurn(msgspec.Struct):
    """What was said before, and how it sounded: as a file, or as an utterance made here."""

    speaker: str | int
    text: str
    audio: str | None = None
    utterance_id: str | None = None


def read_context(turns: Sequence[ContextTurn], rate: int) -> tuple[Turn, ...]:
    """Check the turns, oldest first, and bring their audio to the model's rate: slow work."""
    if len(turns) > MOST_TURNS:
        raise Refusal(f"context has {len(turns)} turns; {MOST_TURNS} are taken", "context")
    characters = sum(len(turn.text) for turn in turns)
    if characters > MOST_CHARACTERS:
        raise Refusal(
            f"context has {characters} characters; {MOST_CHARACTERS} are taken", "context"
        )
    return tuple(_turn(turn, f"context.{place}", rate) for place, turn in enumerate(turns))


def _turn(turn: ContextTurn, field: str, rate: int) -> Turn:
    speaker = str(turn.speaker)
    if len(speaker) > _MOST_SPEAKER:
        param = f"{field}.speaker"
        raise Refusal(f"{param} can have up to {_MOST_SPEAKER} characters", param)
    if not turn.text.strip() or "\0" in turn.text:
        param = f"{field}.text"
        raise Refusal(f"{param} is empty or has a NUL in it; give the words that were said", param)
    audio = None if turn.audio is None else _audio(turn.audio, f"{field}.audio", rate)
    return Turn(speaker, turn.text, audio, turn.utterance_id)


def _audio(encoded: str, field: str, rate: int) -> bytes:
    head = _DATA_URL.match(encoded)
    try:
        file = base64.b64decode(encoded[head.end() :] if head else encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(f"{field} can only be {_WANTED}", field) from None
    try:
        return wav_to_pcm(file, rate)
    except SoundError as error:
        raise Refusal(f"{field}: {error}; it can be {_WANTED}", field) from error

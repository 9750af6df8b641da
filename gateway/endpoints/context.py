"""`context` at the door: what was said before, checked and turned into turns for the wires."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.audio.containers import wav
from gateway.endpoints.decoding import wrong
from gateway.endpoints.shapes import ContextTurn
from gateway.kept.clips import Clips
from gateway.kept.whole import as_wav
from gateway.metering.earlier import Earlier, find_earlier
from providers import Made, Turn

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


async def recalled(
    turns: tuple[Turn, ...],
    named: Sequence[str | None],
    key_hash: str,
    reading: AsyncEngine,
    kept: Clips,
) -> tuple[Turn, ...]:
    """The turns, with what is known of the generations that they name, and their audio where kept.

    Another key's generation is as unknown as one that never was.
    """
    wanted = {id_ for id_ in named if id_ is not None}
    if not wanted:
        return turns
    found = await find_earlier(reading, key_hash, wanted)
    known, room = [], MOST_AUDIO_BYTES - sum(len(turn.audio or b"") for turn in turns)
    for place, (turn, id_) in enumerate(zip(turns, named, strict=True)):
        if id_ is None:
            known.append(turn)
            continue
        of_ours = _known(turn, found.get(id_), f"context.{place}")
        if of_ours.audio is None:
            audio = await as_wav(kept, id_, room)
            room -= len(audio or b"")
            of_ours = replace(of_ours, audio=audio)
        known.append(of_ours)
    return tuple(known)


def _known(turn: Turn, earlier: Earlier | None, field: str) -> Turn:
    if earlier is None:
        raise wrong(f"{field}.generation_id", "this key has no such generation")
    speaker = turn.speaker or earlier.voice
    if not speaker:
        raise wrong(f"{field}.speaker", "missing; nobody spoke that generation")
    return replace(turn, speaker=speaker, made=_made(earlier))


def _made(earlier: Earlier) -> Made | None:
    if earlier.provider is None or earlier.upstream_id is None:
        return None
    return Made(earlier.provider, earlier.upstream_id)


def _turn(turn: ContextTurn, field: str) -> Turn:
    if not turn.text.strip():
        not_kept = "; those of a generation are not kept" if turn.generation_id else ""
        raise wrong(f"{field}.text", f"is empty; give the words that were said{not_kept}")
    if "\0" in turn.text:
        raise wrong(f"{field}.text", "NUL characters (\\u0000) are not text")
    if turn.speaker is None and turn.generation_id is None:
        raise wrong(f"{field}.speaker", "missing; say who spoke, by any name or number")
    audio = None if turn.audio is None else _audio(turn.audio, f"{field}.audio")
    return Turn("" if turn.speaker is None else str(turn.speaker), turn.text, audio)


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

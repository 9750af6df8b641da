"""Turns as a prompt: text tokens and code frames in order, as much of the past as fits.

What a turn looks like, and why a frame of zeros closes its sound: section 2.3 of the reference of
CSM in transformers (processing_csm.py and its chat template), against which it is tested.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, count

import numpy as np

from local_engine.csm.loading.tokenizer import Tokenizer
from local_engine.csm.running import Codes, Prompt

_AUDIO = -1
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)


class PromptTooLong(Exception):
    """What must be said does not fit, even with nothing before it."""

    def __init__(self, positions: int, room: int) -> None:
        super().__init__(f"the text and its voice take {positions} positions of {room}")
        self.positions = positions
        self.room = room


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place where a prompt may be cut: what lies before it is the same in other prompts."""

    positions: int
    digest: bytes
    """Of all that lies before it."""


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """A prompt, where it may be cut, and what of the conversation is not in it."""

    prompt: Prompt
    boundaries: tuple[Boundary, ...]
    """Ends of the voice's and each earlier turn, and of their sound before the frame of zeros:
    there a clip ends whose codes are kept. In order; the whole prompt is not one of them."""
    dropped_turns: int = 0
    """Whole oldest turns for which there was no room."""
    forgotten_turns: int = 0
    """Turns whose codes are not kept any more, so that their words alone are in the prompt."""


def turn_prompt(
    tokenizer: Tokenizer, speaker: str | int, text: str, codes: Codes | None, codebooks: int
) -> Prompt:
    """Lay out one turn: its words and, unless it is still to be spoken, the frames of its sound."""
    ids = (tokenizer.bos, *tokenizer.ids(f"[{speaker}]{text}"), tokenizer.eos)
    words = np.zeros((len(ids), codebooks + 1), np.int32)
    words[:, -1] = ids
    if codes is None or not len(codes):
        return words
    sound = np.zeros((len(codes) + 1, codebooks + 1), np.int32)
    sound[:-1, :-1] = codes
    sound[:, -1] = _AUDIO
    return np.concatenate([words, sound])


def fit(turns: Sequence[Prompt], room: int, voice: Prompt | None = None) -> tuple[Prompt, int]:
    """Join the voice and the turns, without the oldest whole turns for which there is no room.

    The voice and the last turn always stay; PromptTooLong if even they do not fit.
    """
    parts, dropped = _kept(turns, room, voice)
    return np.concatenate(parts), dropped


def plan(
    turns: Sequence[Prompt], room: int, voice: Prompt | None = None, forgotten: int = 0
) -> PromptPlan:
    """Join them as `fit` does, and find where the prompt may be cut."""
    parts, dropped = _kept(turns, room, voice)
    return PromptPlan(np.concatenate(parts), boundaries(parts), dropped, forgotten)


def boundaries(parts: Sequence[Prompt]) -> tuple[Boundary, ...]:
    """Give the places between the parts of a prompt, and before a frame that closes a sound."""
    stretches = [stretch for part in parts[:-1] for stretch in _stretches(part)]
    digest = blake2b(digest_size=16)
    found: list[Boundary] = []
    ends = accumulate(len(stretch) for stretch in stretches)
    for stretch, end in zip(stretches, ends, strict=True):
        digest.update(_bytes(stretch))
        found.append(Boundary(end, digest.digest()))
    return tuple(found)


def prefix_digest(prompt: Prompt) -> bytes:
    """Digest a beginning of a prompt as boundaries do: a finished clip's own, with its codes."""
    return blake2b(_bytes(prompt), digest_size=16).digest()


def speaker_labels(names: Iterable[str], known: Mapping[str, int] | None = None) -> dict[str, str]:
    """Say how each speaker is written: a number as it is, a name by a number nobody else has.

    `known` are names that have their number already: voices. Other names are numbered in order of
    first appearance, from 0.
    """
    known = known or {}
    asked = list(dict.fromkeys(names))
    labels = {name: name for name in asked if _NUMBER.fullmatch(name)}
    labels |= {name: str(known[name]) for name in asked if name in known and name not in labels}
    taken = {int(label) for label in labels.values()}
    free = (str(number) for number in count() if number not in taken)
    return labels | {name: next(free) for name in asked if name not in labels}


def _kept(
    turns: Sequence[Prompt], room: int, voice: Prompt | None
) -> tuple[tuple[Prompt, ...], int]:
    *past, last = turns
    head = () if voice is None else (voice,)
    positions = sum(map(len, (*head, *turns)))
    dropped = 0
    while positions > room and dropped < len(past):
        positions -= len(past[dropped])
        dropped += 1
    if positions > room:
        raise PromptTooLong(positions, room)
    return (*head, *past[dropped:], last), dropped


def _stretches(part: Prompt) -> tuple[Prompt, ...]:
    """Part a turn with sound before the frame that closes it."""
    return (part[:-1], part[-1:]) if part[-1, -1] == _AUDIO else (part,)


def _bytes(prompt: Prompt) -> bytes:
    return np.ascontiguousarray(prompt, np.dtype("<i4")).tobytes()

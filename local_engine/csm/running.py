"""What the engine asks of whatever computes: slots, prompts, steps. No torch in the question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
"""[frames, codebooks]"""
Prompt = NDArray[np.int32]
"""[positions, codebooks + 1]: the codes of a frame of audio and -1; or zeros and the id of a text
token. Sesame's own layout of a prompt, so that any stretch of it can be computed, hashed or kept.
A frame of zeros (with -1) ends a turn's audio."""
Samples = NDArray[np.float32]
"""Mono, at the codec's rate, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How codes are drawn. The same seed and prompt give the same clip, whoever runs beside it."""

    seed: int = 0
    temperature: float = 0.9
    """0 takes the likeliest code."""
    top_k: int = 50
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Prefill:
    """A stretch of a prompt for one slot, which holds the `start` positions before it."""

    slot: int
    start: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one step made, a row for each slot that was asked for, in that order."""

    rows: tuple[int, ...]
    codes: Codes
    """[rows, codebooks]"""
    stopped: NDArray[np.bool_]
    """Whether this frame is the stop frame; its codes and samples are not to be heard."""
    pcm: NDArray[np.int16]
    """[rows, frame_samples]"""


@dataclass(frozen=True, slots=True)
class Captured:
    """What capturing CUDA graphs has cost so far."""

    graphs: int = 0
    seconds: float = 0.0
    bytes: int = 0
    """Of the device, kept for them."""

    def __add__(self, more: "Captured") -> "Captured":
        return Captured(
            self.graphs + more.graphs, self.seconds + more.seconds, self.bytes + more.bytes
        )


class Snapshot(Protocol):
    """The first positions of a slot, kept aside; the runner's own business."""

    @property
    def positions(self) -> int: ...

    @property
    def bytes(self) -> int: ...


class OutOfMemory(Exception):
    """The device had no memory for this call, which changed nothing: it may be asked again."""


class Runner(Protocol):
    """One model on one device. Every call is all or nothing.

    Calls come from one thread, but those of `encode`, which come from one other beside them.
    """

    @property
    def slots(self) -> int:
        """How many utterances fit at once; they are numbered from 0."""

    @property
    def longest(self) -> int:
        """Positions of a slot."""

    @property
    def depth(self) -> int:
        """How many steps may be launched before the first is collected: 1 on a CPU."""

    @property
    def captured(self) -> Mapping[str, Captured]:
        """By kind of work; empty where nothing is captured, as on a CPU."""

    def prefill(self, stretches: Sequence[Prefill]) -> None:
        """Compute these positions; a slot's last stretch leaves it ready to begin."""

    def begin(self, slot: int, sampling: Sampling) -> None:
        """Make the slot, whose prompt is complete, ready for its first step."""

    def launch(self, slots: Sequence[int]) -> None:
        """Start one frame for each of these slots, which are all different."""

    def collect(self) -> StepOutput:
        """Wait for the oldest launched step and give what it made."""

    def keep(self, slot: int, positions: int) -> Snapshot:
        """Copy the first positions of a slot aside."""

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Fill an empty slot with what was kept; the prompt goes on after it."""

    def encode(self, samples: Samples) -> Codes:
        """Turn a segment, padded with silence to whole frames, into codes; it stands alone."""

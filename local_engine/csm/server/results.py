"""How clips ended: the last thousand, by their public id."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Self

from local_engine.csm.messages import Ended, Finish

_KEPT = 1000
_RUNAWAYS: frozenset[Finish] = frozenset({"text", "silence", "loop", "context"})
"""Ends that neither the model nor the caller chose."""


@dataclass(frozen=True, slots=True)
class Result:
    """One clip's end, as `/v1/utterances/{id}` shows it."""

    id: str
    model: str
    finish: Finish
    runaway: bool
    """Whether the model did not stop by itself and the guard had to."""
    frames: int
    audio_seconds: float
    prompt_positions: int
    reused_positions: int
    dropped_turns: int
    forgotten_turns: int
    queue_seconds: float
    prefill_seconds: float
    first_audio_seconds: float | None
    seconds: float

    @classmethod
    def of(cls, utterance: str, model: str, ended: Ended, frame_seconds: float) -> Self:
        """Tell it in public words."""
        return cls(
            id=utterance,
            model=model,
            finish=ended.finish,
            runaway=ended.finish in _RUNAWAYS,
            frames=ended.frames,
            audio_seconds=round(ended.frames * frame_seconds, 6),
            prompt_positions=ended.prompt_positions,
            reused_positions=ended.reused_positions,
            dropped_turns=ended.dropped_turns,
            forgotten_turns=ended.forgotten_turns,
            queue_seconds=ended.queue_seconds,
            prefill_seconds=ended.prefill_seconds,
            first_audio_seconds=ended.first_audio_seconds,
            seconds=ended.seconds,
        )


class Results:
    """The last results; the one that was neither kept nor asked for longest goes first."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._results: OrderedDict[str, Result] = OrderedDict()

    def keep(self, result: Result) -> None:
        self._results[result.id] = result
        while len(self._results) > self._kept:
            self._results.popitem(last=False)

    def find(self, utterance: str) -> Result | None:
        """Give the result; None where the clip is unknown, not over, or forgotten."""
        if utterance in self._results:
            self._results.move_to_end(utterance)
        return self._results.get(utterance)

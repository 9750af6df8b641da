"""Line, slots and steps joined: what the engine asks before each thing that it has a Runner do."""

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from local_engine.csm.scheduling.line import Line
from local_engine.csm.scheduling.rows import RowLimit, choose
from local_engine.csm.scheduling.utterance import Stage, Utterance


@dataclass(frozen=True, slots=True)
class Limits:
    """What a scheduler keeps to."""

    slots: int
    waiting: int
    """In line beyond the slots that are free."""
    per_key: int
    """Slots of one key; 0 means all."""
    prefill_positions: int
    """Of one step."""
    lead_frames: int
    """How far a clip may be ahead of its listener."""
    good_steps: int = 50
    """After which the rows of a step grow back."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions `start` to `stop` of an utterance's prompt, to be computed now."""

    utterance: Utterance
    start: int
    stop: int


class Scheduler:
    """Pure bookkeeping; the time is passed in. Every number that was taken must be `end`ed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.rows_at_once = RowLimit(limits.slots, limits.good_steps)
        self.line = Line()
        self.living: dict[int, Utterance] = {}
        """By number: all but the ended."""
        self.steps = 0
        self._per_key = limits.per_key or limits.slots
        self._free = list(range(limits.slots))
        self._seated: dict[int, Utterance] = {}
        """By number: those with a slot, in the order in which they got it."""
        self._keys: Counter[str] = Counter()
        self._flying: deque[tuple[Utterance, ...]] = deque()
        """The steps that are launched and not collected, oldest first."""
        self._held: Counter[int] = Counter()
        """By slot: how many of these steps it is in."""
        self._leaving: set[int] = set()
        """Slots whose utterance has ended while a launched step held them."""

    @property
    def in_flight(self) -> int:
        """Steps that are launched and not collected."""
        return len(self._flying)

    @property
    def free(self) -> int:
        """Slots that somebody could have now."""
        return len(self._free)

    @property
    def seated(self) -> Sequence[Utterance]:
        """Those with a slot."""
        return tuple(self._seated.values())

    def submit(self, utterance: Utterance) -> bool:
        """Take a place in line; False where it is full."""
        if len(self.line) >= self.limits.waiting + self.free:
            return False
        self.living[utterance.number] = utterance
        self.line.join(utterance)
        return True

    def ready(self, utterance: Utterance, positions: int, most: int) -> None:
        """Its prompt is made: so many positions, and at most so many frames after it."""
        utterance.positions, utterance.most = positions, most
        utterance.stage = Stage.READY

    def take(self, number: int, frames: int) -> None:
        """Its listener has taken so many frames in all."""
        utterance = self.living.get(number)
        if utterance:
            utterance.taken = max(utterance.taken, min(frames, utterance.told))

    def due(self, now: float) -> list[Utterance]:
        """Those whose deadline has passed."""
        return [
            one for one in self.living.values() if one.deadline is not None and one.deadline <= now
        ]

    def next_deadline(self) -> float | None:
        """When the next of the living is due."""
        deadlines = (one.deadline for one in self.living.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def admit(self, now: float) -> list[Utterance]:
        """Give the free slots to those who are next."""
        admitted = list(self.line.next_ones(self._keys, self._per_key, self.free))
        for utterance in admitted:
            self.line.leave(utterance, now)
            utterance.slot = heapq.heappop(self._free)
            utterance.stage, utterance.admitted = Stage.PREFILLING, now
            self._seated[utterance.number] = utterance
            self._keys[utterance.key] += 1
        return admitted

    def reuse(self, utterance: Utterance, positions: int) -> None:
        """So many positions of its prompt were restored."""
        utterance.reused = utterance.computed = positions

    def stretches(self) -> list[Stretch]:
        """What to compute of the prompts before the next step; whoever came first, first."""
        budget = self.limits.prefill_positions
        planned: list[Stretch] = []
        for one in self._seated.values():
            if one.stage is Stage.PREFILLING and budget:
                stop = min(one.positions, one.computed + budget)
                planned.append(Stretch(one, one.computed, stop))
                budget -= stop - one.computed
        return planned

    def computed(self, stretch: Stretch) -> bool:
        """It is computed; tell whether its prompt is complete."""
        stretch.utterance.computed = stretch.stop
        return stretch.stop == stretch.utterance.positions

    def begin(self, utterance: Utterance, now: float) -> None:
        """From the next step on it speaks."""
        utterance.stage, utterance.began, utterance.served = Stage.RUNNING, now, self.steps

    def rows(self) -> list[Utterance]:
        """Who is in the next step."""
        return choose(self._seated.values(), self.rows_at_once.rows, self.limits.lead_frames)

    def launched(self, rows: Sequence[Utterance]) -> None:
        """The step has begun."""
        self.steps += 1
        self._flying.append(tuple(rows))
        for utterance in rows:
            utterance.launched += 1
            utterance.served = self.steps
            self._held[utterance.slot] += 1
        self.rows_at_once.went_well()

    def collected(self) -> tuple[Utterance, ...]:
        """Give whose rows the oldest step had; those ENDED meanwhile are to be dropped."""
        rows = self._flying.popleft()
        for utterance in rows:
            self._held[utterance.slot] -= 1
            if utterance.slot in self._leaving and not self._held[utterance.slot]:
                self._leaving.remove(utterance.slot)
                heapq.heappush(self._free, utterance.slot)
        return rows

    def end(self, utterance: Utterance, now: float) -> None:
        """It is over; its slot is free once no launched step holds it."""
        del self.living[utterance.number]
        if utterance.in_line:
            self.line.leave(utterance, now)
        else:
            self._stand_up(utterance)
        utterance.stage, utterance.ended = Stage.ENDED, now

    def _stand_up(self, utterance: Utterance) -> None:
        del self._seated[utterance.number]
        self._keys[utterance.key] -= 1
        if not self._keys[utterance.key]:
            del self._keys[utterance.key]
        if self._held[utterance.slot]:
            self._leaving.add(utterance.slot)
        else:
            heapq.heappush(self._free, utterance.slot)

"""The waiting line: first in, first out, and how fast it has moved of late."""

from collections import Counter, deque
from collections.abc import Iterator
from math import ceil

from local_engine.csm.scheduling.utterance import Stage, Utterance

_WINDOW_SECONDS = 60.0
_SOONEST, _LATEST = 1, 60


class Line:
    """Those who have no slot yet, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[int, Utterance] = {}
        self._left: deque[float] = deque()
        """When somebody left the line, within the window."""
        self._opened: float | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, utterance: Utterance) -> None:
        """Stand at the end."""
        if self._opened is None:
            self._opened = utterance.submitted
        self._waiting[utterance.number] = utterance

    def leave(self, utterance: Utterance, now: float) -> None:
        """Go, to a slot or for good."""
        del self._waiting[utterance.number]
        self._left.append(now)
        self._forget(now)

    def next_ones(self, taken: Counter[str], per_key: int, free: int) -> Iterator[Utterance]:
        """Give the first `free` who may have a slot; a key that holds its share is passed over.

        `taken` counts the slots of each key. One whose prompt is not made yet is passed over too:
        prompts are made in order, so nobody behind it in line is ready before it for long.
        """
        share = taken.copy()
        for utterance in list(self._waiting.values()):
            if not free:
                return
            if utterance.stage is Stage.READY and share[utterance.key] < per_key:
                share[utterance.key] += 1
                free -= 1
                yield utterance

    def retry_after(self, now: float) -> int:
        """Reckon in how many whole seconds the line of now will have moved on, 1 to 60."""
        self._forget(now)
        if not self._left or self._opened is None:
            return _LATEST
        watched = max(min(now - self._opened, _WINDOW_SECONDS), 1.0)
        seconds = len(self._waiting) * watched / len(self._left)
        return min(max(ceil(seconds), _SOONEST), _LATEST)

    def _forget(self, now: float) -> None:
        while self._left and self._left[0] < now - _WINDOW_SECONDS:
            self._left.popleft()

"""Allowances: extra traffic (retries, hedges, explorations) as a share of what is asked anyway."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 10.0
FLOOR_PER_SECOND = 3.0
KEY_SHARE = 0.5
KEY_FLOOR = 3.0
"""What a key may use even of very little: one attempt after one that timed out."""


@dataclass(slots=True)
class _Second:
    number: int
    asked: int = 0
    keys: set[str] = field(default_factory=set)
    """Whose requests they were."""
    taken: float = 0.0
    by_key: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Allowance:
    """At most `share` of the last ten seconds' requests, and never less than a few.

    No key may use more than half of what there is, unless nobody else asks.
    `now` is monotonic seconds.
    """

    def __init__(self, share: float, floor_per_second: float = FLOOR_PER_SECOND) -> None:
        self._share = share
        self._floor = floor_per_second * WINDOW_SECONDS
        self._seconds: deque[_Second] = deque()

    def asked(self, now: float, key: str = "") -> None:
        """A request came."""
        second = self._second(now)
        second.asked += 1
        second.keys.add(key)

    def take(self, now: float, cost: float = 1.0, key: str = "") -> bool:
        """Use some, if there is enough left."""
        second = self._second(now)
        there_is = max(self._floor, self._share * sum(each.asked for each in self._seconds))
        if cost > there_is - sum(each.taken for each in self._seconds):
            return False
        if key and self._is_shared(key):
            taken = sum(each.by_key.get(key, 0.0) for each in self._seconds)
            if cost > max(KEY_FLOOR, there_is * KEY_SHARE) - taken:
                return False
        second.by_key[key] += cost
        second.taken += cost
        return True

    def left(self, now: float) -> float:
        """How much may still be used now, by whoever comes."""
        self._second(now)
        there_is = max(self._floor, self._share * sum(each.asked for each in self._seconds))
        return max(0.0, there_is - sum(each.taken for each in self._seconds))

    def _is_shared(self, key: str) -> bool:
        return any(each.keys - {key} for each in self._seconds)

    def _second(self, now: float) -> _Second:
        """The one of now; those before the window are forgotten, and their keys with them."""
        number = int(now)
        while self._seconds and self._seconds[0].number <= number - WINDOW_SECONDS:
            self._seconds.popleft()
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        return self._seconds[-1]

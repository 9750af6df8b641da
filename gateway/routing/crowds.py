"""Crowds: how many requests one offer gets at once; fewer when it has enough, slowly more again."""

import math

from gateway.routing.rests import Rest
from providers import Overloaded, ProviderError, RateLimited, TimedOut

MORE = 0.1
"""How much wider it gets after as many successes as it is wide, and never by less than one."""
LESS = 0.7
LEAST = 4
"""Below it, it is not the number of requests that is too much."""
CUT_SECONDS = 1.0
"""One crowd that is too large fails many times; that counts once."""
FULL_SECONDS = 0.25
TOO_MUCH = (RateLimited, Overloaded, TimedOut)


class Crowd:
    """As many as may be at first; fewer than were too many, and from there slowly more again."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = float(most)
        self._successes = 0
        """Since the limit last changed."""
        self._cut_at = -math.inf
        self.in_flight = 0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def rest(self) -> Rest | None:
        """Why nobody may join it."""
        if self.in_flight < self.limit:
            return None
        return Rest(FULL_SECONDS, f"it has enough to do with {self.in_flight}", is_full=True)

    def joined(self) -> None:
        self.in_flight += 1

    def left(self, error: ProviderError | None, now: float, *, heard: bool) -> None:
        """A request ended, in an error or heard or broken off."""
        if isinstance(error, TOO_MUCH):
            self._cut(now)
        elif heard and error is None:
            self._successes += 1
            if self._successes >= self.limit:
                wider = self._limit + max(1.0, self._limit * MORE)
                self._limit, self._successes = min(wider, self._most), 0
        self.in_flight -= 1

    def _cut(self, now: float) -> None:
        if now - self._cut_at >= CUT_SECONDS:
            crowd = min(self._limit, self.in_flight) * LESS
            self._limit, self._successes = max(min(self._most, LEAST), crowd), 0
            self._cut_at = now

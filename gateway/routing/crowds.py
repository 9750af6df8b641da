"""Crowds: how many requests one offer gets at once; fewer when it has enough, slowly more again."""

import math

from gateway.routing.rests import Rest
from providers import Overloaded, ProviderError, RateLimited, TimedOut

START = 32
LESS = 0.7
CUT_SECONDS = 1.0
"""One crowd that is too large fails many times; that counts once."""
FULL_SECONDS = 0.25
TOO_MUCH = (RateLimited, Overloaded, TimedOut)


class Crowd:
    """Additive increase, multiplicative decrease, between 1 and `most`."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._limit = float(min(START, most))
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
        self.in_flight -= 1
        if isinstance(error, TOO_MUCH):
            self._cut(now)
        elif heard and error is None:
            self._successes += 1
            if self._successes >= self.limit:
                self._limit, self._successes = min(self._limit + 1, self._most), 0

    def _cut(self, now: float) -> None:
        if now - self._cut_at >= CUT_SECONDS:
            self._limit, self._successes = max(1.0, self._limit * LESS), 0
            self._cut_at = now

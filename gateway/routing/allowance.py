"""Allowances: extra traffic (retries, hedges, explorations) as a share of what is asked anyway."""

from collections import deque

WINDOW_SECONDS = 10.0
FLOOR_PER_SECOND = 3.0


class Allowance:
    """At most `share` of the last ten seconds' requests, and never less than a few.

    No key may use more than half of what there is. `now` is monotonic seconds.
    """

    def __init__(self, share: float, floor_per_second: float = FLOOR_PER_SECOND) -> None:
        self._share = share
        self._floor = floor_per_second * WINDOW_SECONDS
        self._asked: deque[float] = deque()

    def asked(self, now: float) -> None:
        """A request came."""

    def take(self, now: float, cost: float = 1.0, key: str = "") -> bool:
        """Use some, if there is enough left."""
        return True

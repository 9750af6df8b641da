"""Admission: how many requests are done at once, who waits, and who is refused at once.

Keys take turns, so that one key's crowd does not keep another key's single request waiting.
"""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from gateway.routing.standings import Rest
from gateway.settings import Load

Started = TypeVar("Started")


class Admission:
    """Lets requests in; each that was let in leaves once."""

    def __init__(self, load: Load, random: Random | None = None) -> None:
        self._load = load
        self._random = random or Random()  # noqa: S311  # jitter keeps no secret

    async def enter(self, key: str, by: float, start: Callable[[], Started | Rest]) -> Started:
        """Wait for a place and for `start` to give something; what it gave.

        key: whose request it is. by: monotonic seconds until which it may wait.
        start: called once there is a place, and again whenever an offer may have one; a Rest
            that is not `is_full` is told at once.
        Raises Busy (too many wait, or it waited too long) and Resting, both with `retry_after`.
        """
        raise NotImplementedError

    def leave(self) -> None:
        """A request that was let in has ended; whoever waits gets its place."""

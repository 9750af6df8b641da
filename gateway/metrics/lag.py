"""The lag: how late the event loop comes to what is due, which every request feels."""

import asyncio
from collections import deque

EVERY_SECONDS = 0.25
REMEMBERED = 60
"""Of the last fifteen seconds, which is how often a scrape comes."""


class Lag:
    """Looks at the clock now and then, from start to stop."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=REMEMBERED)
        self._next: asyncio.TimerHandle | None = None

    @property
    def worst(self) -> float:
        """Seconds, of lately."""
        return max(self._seen, default=0.0)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + EVERY_SECONDS
        self._next = loop.call_at(due, self._look, due)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()

    def _look(self, due: float) -> None:
        late = asyncio.get_running_loop().time() - due
        self._seen.append(max(0.0, late))
        self.start()

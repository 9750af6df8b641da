"""One clip between the Reports that bring its frames and the listener who takes them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from local_engine.errors import Refusal

_MOST_FRAMES = 12
"""Given at once, about a second, so that a slow client's time for each piece stays fair."""


class Clip:
    """Frames in, samples out. The engine pauses it while too many frames wait to be taken."""

    def __init__(self, utterance: str, took: Callable[[int], None]) -> None:
        self.utterance = utterance
        self.born = time.monotonic()
        self.heard = 0
        """Frames that have come."""
        self.over = False
        self._took = took
        self._given = 0
        self._frames: deque[bytes] = deque()
        self._refusal: Refusal | None = None
        self._news = asyncio.Event()

    def hear(self, frame: memoryview) -> None:
        """Take in the next frame, a slice of the Report's samples."""
        self.heard += 1
        self._frames.append(bytes(frame))  # a slice would keep everybody's samples for one of them
        self._news.set()

    def end(self, refusal: Refusal | None = None) -> None:
        """Say that no more will come; `refusal` is raised once what came has been given."""
        self.over = True
        self._refusal = refusal
        self._news.set()

    async def listen(self) -> bytes:
        """Wait for samples; nothing when the clip is over. What was given before is taken now."""
        if self._given:
            self._took(self._given)
        while not self._frames and not self.over:
            self._news.clear()
            await self._news.wait()
        if self._frames:
            return self._next()
        if self._refusal is not None:
            raise self._refusal
        return b""

    def _next(self) -> bytes:
        frames = [self._frames.popleft() for _ in range(min(len(self._frames), _MOST_FRAMES))]
        self._given += len(frames)
        return b"".join(frames)

"""The outlet: the bounded queue between the supervisor, which fills it, and the response (D5)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from gateway.audio.formats import Sound
from gateway.kept.clips import Draft

MOST_WAITING_BYTES = 256 * 1024


class Abandoned(Exception):
    """The client has left."""


@dataclass(frozen=True, slots=True)
class Head:
    """Who is speaking, known with the first audio; what the response's head is made of."""

    provider: str
    model: str
    voice: str
    attempts: int
    sound: Sound
    timings: tuple[tuple[str, float], ...]
    """Server-Timing tokens and their milliseconds."""
    replayed: bool = False
    """Whether this was said before, and comes from what was kept."""


class Outlet:
    """Audio on its way out. The supervisor puts and closes; the response reads, or abandons."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._head: asyncio.Future[Head] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._closed = False
        self._error: Exception | None = None
        self._wake_reader: asyncio.Future[None] | None = None
        self._wake_writer: asyncio.Future[None] | None = None
        self.on_abandon: Callable[[], None] | None = None
        """Called when nobody listens any more; the supervisor breaks off its attempt with it."""
        self.delivered = False
        """Whether the first audio has left for the client."""
        self.abandoned = False
        self.draft: Draft | None = None
        """The kept clip in the making."""
        self._carries_on = False
        """Whether it goes on when the client has left: it may come back for it."""
        self._carried_on = False

    @property
    def deserted(self) -> bool:
        """Whether nobody takes the audio any more: the client has left, and none of it is kept."""
        kept = self._carried_on and self.draft is not None and not self.draft.lost
        return self.abandoned and not kept

    # The supervisor's side.

    def open(self, head: Head, draft: Draft | None = None, *, carries_on: bool = True) -> None:
        self.draft, self._carries_on = draft, carries_on
        if not self._head.done():  # a response that was cancelled took its future with it
            self._head.set_result(head)

    async def put(self, chunk: bytes, patience: float) -> None:
        """Hand a chunk over; waits while too much waits already, and gives a stuck client up."""
        if self.draft is not None:
            self.draft.write(chunk)
        while self._waiting_bytes > MOST_WAITING_BYTES and not self.abandoned:
            self._wake_writer = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self._wake_writer, patience)
            except TimeoutError:
                self.abandon()
        if self.deserted:
            raise Abandoned
        if self.abandoned:
            return
        self._chunks.append(chunk)
        self._waiting_bytes += len(chunk)
        _wake(self._wake_reader)

    def close(self, error: Exception | None = None) -> None:
        """No more audio: it is whole, or broken by `error`."""
        self._closed, self._error = True, error
        if error is not None and not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # it counts as seen even when the client is gone
        _wake(self._wake_reader)

    async def ended(self, patience: float) -> None:
        """Until the response has taken everything, or the client has left or is stuck."""
        waiting_bytes = -1
        while not self._ended.done():
            if self._waiting_bytes == waiting_bytes:
                self.abandon()
            waiting_bytes = self._waiting_bytes
            await asyncio.wait((self._ended,), timeout=patience)

    # The response's side.

    async def head(self) -> Head:
        """Who speaks, as soon as there is audio; raises why there will be none."""
        return await self._head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio; raises what broke it."""
        while True:
            while self._chunks and not self.abandoned:
                chunk = self._chunks.popleft()
                self._waiting_bytes -= len(chunk)
                _wake(self._wake_writer)
                yield chunk
                self.delivered = True
            if self.abandoned:
                raise Abandoned
            if self._closed:
                break
            self._wake_reader = asyncio.get_running_loop().create_future()
            await self._wake_reader
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """The response has sent all it will send."""
        if not self._ended.done():
            self._ended.set_result(None)

    def abandon(self) -> None:
        """The client has left, or takes nothing."""
        if self.abandoned or self._ended.done():
            return
        self.abandoned = True
        # Who has had no audio does not pay for a kept clip.
        self._carried_on = self.delivered and self._carries_on
        self.finish()
        _wake(self._wake_reader)
        _wake(self._wake_writer)
        self._desert()

    def break_off(self) -> None:
        """The gateway stops: nobody is spoken to any longer, and only what is whole is kept."""
        if self.draft is not None and not self._closed:
            self.draft.drop()
        self.abandon()
        self._desert()

    def _desert(self) -> None:
        if self.deserted and self.on_abandon is not None:
            self.on_abandon()


def expire(limit: asyncio.Timeout) -> None:
    """Let it fire now; it may have fired already, with its task yet to hear of it."""
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)

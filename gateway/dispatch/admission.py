"""Admission: how many requests are done at once, who waits, and who is refused at once.

Keys take turns, so that one key's crowd does not keep another key's single request waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

from gateway.dispatch.line import Line
from gateway.errors import Busy, Resting
from gateway.routing.standings import Rest
from gateway.settings import Load

Started = TypeVar("Started")
Started_co = TypeVar("Started_co", covariant=True)

FEW = 4
"""How many are asked in one go, in turn and again by how long ago they were; asking costs time."""
PAUSE_SECONDS = 0.01
"""Between two goes, while some have not been asked since a place came free."""
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
"""The bounds of what a refused caller is told to wait."""
GUESS_SECONDS = 5.0
"""What one is told before any request has ended."""
JITTER = 0.25
REMEMBERED = 64
"""Endings, to tell how fast places come free."""


class _Waiter(Generic[Started_co]):
    """One request in the line."""

    def __init__(self, start: Callable[[], Started_co | Rest]) -> None:
        self.start = start
        self.told: asyncio.Future[Started_co] = asyncio.get_running_loop().create_future()
        self.full: Rest | None = None
        """What kept it when it was last asked; None: there was no place to ask it for."""

    def refuse(self, error: Exception) -> None:
        if not self.told.done():  # its caller may have left in this very moment
            self.told.set_exception(error)

    def was_let_in(self) -> bool:
        """Whether it has what it waited for; an error that nobody will hear counts as seen."""
        told = self.told
        return told.done() and not told.cancelled() and told.exception() is None


class Admission:
    """Lets requests in; each that was let in leaves once."""

    def __init__(self, load: Load, random: Random | None = None) -> None:
        self._load = load
        self._random = random or Random()  # noqa: S311  # jitter keeps no secret
        self._inside = 0
        self._line: Line[_Waiter[object]] = Line(load.queue)
        self._unasked = 0
        """How many of the line may not have been asked since a place last came free."""
        self._goes_on: asyncio.TimerHandle | None = None
        self._endings: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def inside(self) -> int:
        """Requests that were let in and have not left."""
        return self._inside

    @property
    def waiting(self) -> int:
        return len(self._line)

    async def enter(
        self,
        key: str,
        by: float,
        start: Callable[[], Started | Rest],
        undo: Callable[[Started], None] | None = None,
    ) -> Started:
        """Wait for a place and for `start` to give something; what it gave.

        key: whose request it is. by: monotonic seconds until which it may wait.
        start: called once there is a place, and again whenever an offer may have one; a Rest
            that is not `is_full` is told at once.
        undo: takes back what `start` gave to a caller that was cancelled before it had it.
        Raises Busy (too many wait, or it waited too long) and Resting, both with `retry_after`.
        """
        self._ask_a_few()
        waiter = _Waiter(start)
        if self._has_place:
            self._ask(waiter)
        if waiter.told.done():
            return waiter.told.result()
        self._queue(waiter, key)
        patience = asyncio.get_running_loop().call_at(by, self._expire, waiter)
        try:
            return await waiter.told
        except asyncio.CancelledError:
            self._withdraw(waiter, undo)
            raise
        finally:
            patience.cancel()

    def leave(self) -> None:
        """A request that was let in has ended; whoever waits gets its place."""
        self._inside -= 1
        self._endings.append(asyncio.get_running_loop().time())
        self.poke()

    def poke(self) -> None:
        """An offer's place came free, or may have; whoever waits for one is asked again."""
        self._unasked = len(self._line)
        self._ask_a_few()

    @property
    def _has_place(self) -> bool:
        return self._inside < self._load.concurrent

    def _ask_a_few(self) -> None:
        """Ask a few now, and the rest soon: a long line must not hold up everything else."""
        for waiter in self._line.few(FEW):
            if not self._has_place:
                return  # whoever leaves next begins anew
            self._ask(waiter)
            if waiter.told.done():
                self._line.served(waiter)
            else:
                self._line.asked(waiter)
        self._unasked -= FEW
        if self._unasked > 0 and self._goes_on is None:
            loop = asyncio.get_running_loop()
            self._goes_on = loop.call_later(PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._goes_on = None
        self._ask_a_few()

    def _ask(self, waiter: _Waiter[object]) -> None:
        if waiter.told.done():  # its caller left in this very moment
            return
        try:
            started = waiter.start()
        except Exception as error:  # noqa: BLE001  # it is told to whom it concerns, not to us
            waiter.refuse(error)
            return
        if not isinstance(started, Rest):
            self._inside += 1
            waiter.told.set_result(started)
        elif started.is_full:
            waiter.full = started
        else:
            waiter.refuse(self._resting(started))

    def _queue(self, waiter: _Waiter[object], key: str) -> None:
        crowded = self._line.join(waiter, key)
        if crowded is not None:
            crowded.refuse(self._busy(crowded, "and as many wait as may"))

    def _expire(self, waiter: _Waiter[object]) -> None:
        if not waiter.told.done():
            self._line.remove(waiter)
            waiter.refuse(self._busy(waiter, "and it waited as long as it may"))

    def _withdraw(self, waiter: _Waiter[Started], undo: Callable[[Started], None] | None) -> None:
        """Its caller was cancelled: it leaves no trace, even if it had just been let in."""
        if waiter in self._line:
            self._line.remove(waiter)
        if waiter.was_let_in():
            self._inside -= 1
            if undo is not None:
                undo(waiter.told.result())
            self.poke()

    def _busy(self, waiter: _Waiter[object], why: str) -> Busy:
        full = waiter.full.reason if waiter.full else "the gateway has enough to do"
        allowed = f"{self._load.concurrent} requests at once and {self._load.queue} waiting"
        return Busy(f"{full}, {why}; {allowed} are allowed", retry_after=self._until_free())

    def _resting(self, rest: Rest) -> Resting:
        # A rest is not over before it is over, so jitter only adds.
        seconds = max(SHORTEST_SECONDS, rest.seconds) * self._random.uniform(1, 1 + JITTER)
        return Resting(f"nobody can be asked now: {rest.reason}", retry_after=seconds)

    def _until_free(self) -> float:
        """How long it takes, as places lately came free, until everyone in the line has one."""
        now = asyncio.get_running_loop().time()
        while self._endings and self._endings[0] < now - LONGEST_SECONDS:
            self._endings.popleft()
        seconds, known = GUESS_SECONDS, len(self._endings)
        if known > 1:
            seconds = (now - self._endings[0]) / known * (len(self._line) + 1)
        least, most = SHORTEST_SECONDS / (1 - JITTER), LONGEST_SECONDS / (1 + JITTER)
        return min(max(seconds, least), most) * self._random.uniform(1 - JITTER, 1 + JITTER)

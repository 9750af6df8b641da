"""The workers and the queue before them.

A request leases a worker; a dead one is replaced, one given back in mid-speech is hushed first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from local_engine.errors import Overloaded, StartError, Unavailable
from local_engine.espeak.process import WorkerProcess
from local_engine.espeak.settings import Settings

log = logging.getLogger(__name__)

_SHORT_LIFE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Health:
    """The pool at one moment."""

    workers: list[int]
    """Process ids of the living."""
    busy: int
    waiting: int
    waiting_limit: int


class Pool:
    """So many workers, each leased to one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        self._living: dict[int, WorkerProcess] = {}
        self._leased = 0
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> WorkerProcess:
        """Start all workers, and give one to read the voices from."""
        size = self._settings.workers
        workers = await asyncio.gather(*(WorkerProcess.start() for _ in range(size)))
        for worker in workers:
            self._living[worker.pid] = worker
            self._start(self._keep(worker))
        return workers[0]

    async def close(self) -> None:
        """End all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._living.values()))

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[WorkerProcess]:
        """Lend the next free worker; it may be given back in mid-speech."""
        worker = await self._take()
        self._leased += 1
        try:
            yield worker
        finally:
            self._leased -= 1
            self._give_back(worker)

    def health(self) -> Health:
        """Count."""
        return Health(sorted(self._living), self._leased, self._waiting, self._settings.waiting)

    async def _take(self) -> WorkerProcess:
        if self._waiting >= self._settings.waiting:
            raise Overloaded(f"{self._waiting} requests already wait for a worker; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.patience_seconds):
                while not (worker := await self._idle.get()).alive:
                    pass  # it died while it was idle
                return worker
        except TimeoutError as error:
            raise Unavailable("no worker became free in time") from error
        finally:
            self._waiting -= 1

    def _give_back(self, worker: WorkerProcess) -> None:
        if not worker.speaking:
            self._idle.put_nowait(worker)
        elif worker.alive:
            self._start(self._hush(worker))

    async def _hush(self, worker: WorkerProcess) -> None:
        await worker.hush()
        self._idle.put_nowait(worker)

    async def _keep(self, worker: WorkerProcess) -> None:
        """See to it that there is always a worker in this place."""
        short_lives = 0
        while True:
            self._idle.put_nowait(worker)
            born = time.monotonic()
            status = await worker.ended()
            del self._living[worker.pid]
            log.warning("worker %d ended with status %d", worker.pid, status)
            lived = time.monotonic() - born
            short_lives = short_lives + 1 if lived < _SHORT_LIFE_SECONDS else 0
            worker = await self._replacement(short_lives)
            self._living[worker.pid] = worker

    async def _replacement(self, failures: int) -> WorkerProcess:
        """Start another, at once after a first death, after growing pauses when deaths repeat."""
        while True:
            if failures > 1:
                await asyncio.sleep(min(0.1 * 2**failures, _LONGEST_PAUSE_SECONDS))
            try:
                return await WorkerProcess.start()
            except (OSError, StartError):
                log.exception("a worker did not start")
                failures += 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

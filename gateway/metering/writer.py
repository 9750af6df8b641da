"""The writer: one durable commit for everything that waits (D6), in threads of its own.

SQLite has one thread, with the only connection that writes; PostgreSQL has two, so that one batch
is decided while the other is made durable. All operations of a key's requests go to the same
thread, in their order. Each is handed over as a value and answered by a future.
"""

import asyncio
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from sqlalchemy import Engine

from gateway.errors import GatewayError, InDoubt
from gateway.metering.ledger import Answer
from gateway.metering.operations import (
    Extend,
    Hold,
    Operation,
    Record,
    Resolve,
)
from gateway.metering.session import AWAY, Session
from gateway.metering.statements import Statements

LARGEST_BATCH = 512
POSTGRES_THREADS = 2
LINGER_SECONDS = 0.001
PATIENCE_SECONDS = 6.0
"""How long an operation may wait; longer than the database's own time limits."""
PATIENCE_STEP = 0.25

Waiting = tuple[Operation, "asyncio.Future[Answer]", bool]
"""What is to be done, whom to tell, and whether it may linger."""
Lane = queue.SimpleQueue[Waiting | None]


@dataclass(frozen=True, slots=True)
class Work:
    """How much the writer has done, and has to do."""

    waiting: int
    """Operations."""
    batch: int
    """Operations in the last batch."""
    commits: int
    operations: int


class Writer:
    """Carries operations out durably, those of one request in order."""

    def __init__(
        self, engine: Engine, patience: float = PATIENCE_SECONDS, clock: str | None = None
    ) -> None:
        """clock: SQL that gives the time in epoch ms, where not the database's own is meant."""
        self._engine = engine
        self.patience = patience
        self.instance = secrets.token_hex(8)
        """Whose holds these are."""
        self._loop = asyncio.get_running_loop()
        self._open: dict[str, Lane] = {}
        """Where each request that holds something, or may, is carried out."""
        self._pending: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._impatient: asyncio.TimerHandle | None = None
        self._coming: list[tuple[Lane, Waiting]] = []
        """What this turn of the loop wants done; handed over together, so that one commit serves
        all who were answered by one."""
        statements = Statements(engine.dialect, clock)
        threads = 1 if engine.dialect.name == "sqlite" else POSTGRES_THREADS
        self._lanes: list[Lane] = [queue.SimpleQueue() for _ in range(threads)]
        self._sessions = [Session(engine, statements, self.instance) for _ in self._lanes]
        self._threads = [
            threading.Thread(
                target=self._run,
                args=(lane, session),
                name=f"ledger-writer-{number}",
                daemon=True,
            )
            for number, (lane, session) in enumerate(zip(self._lanes, self._sessions, strict=True))
        ]
        for thread in self._threads:
            thread.start()

    async def submit(self, operation: Operation) -> bool:
        """True once it is durable, False if it had been resolved before; raises its refusal."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._pending.append((self._loop.time() + self.patience, future))
        if self._impatient is None:
            self._impatient = self._loop.call_later(PATIENCE_STEP, self._give_up)
        lane = self._lane(operation)
        # Alone there is nobody to wait for.
        lingers = bool(self._open) and isinstance(operation, Resolve)
        if not self._coming:
            self._loop.call_soon(self._hand_over)
        self._coming.append((lane, (operation, future, lingers)))
        answer = await future
        if isinstance(answer, GatewayError):
            if isinstance(operation, Hold) and not isinstance(answer, InDoubt):
                self._open.pop(operation.opening.id, None)
            raise answer
        return answer

    def _lane(self, operation: Operation) -> Lane:
        """One lane for all requests of a key, which wait for its balance anyhow."""
        match operation:
            case Hold() | Record():
                opening = operation.opening
                lane = self._lanes[crc32(opening.key_hash.encode()) % len(self._lanes)]
                if isinstance(operation, Hold):
                    self._open[opening.id] = lane
                return lane
            case Extend():
                return self._open.get(operation.generation_id, self._lanes[0])
            case Resolve():
                return self._open.pop(operation.generation_id, self._lanes[0])
            case _:
                return self._lanes[0]

    def work(self) -> Work:
        """What the threads count, each for itself; read beside them, so a moment old."""
        return Work(
            waiting=sum(lane.qsize() for lane in self._lanes),
            batch=max(session.batch for session in self._sessions),
            commits=sum(session.commits for session in self._sessions),
            operations=sum(session.operations for session in self._sessions),
        )

    async def close(self) -> None:
        """Carry out what still waits, then end the threads."""
        self._hand_over()
        for lane in self._lanes:
            lane.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        if self._impatient is not None:
            self._impatient.cancel()
        self._engine.dispose()

    def _hand_over(self) -> None:
        for lane, waiting in self._coming:
            lane.put(waiting)
        self._coming.clear()

    def _give_up(self) -> None:
        """Answer whoever has waited too long; the database may or may not have done it."""
        now, pending = self._loop.time(), self._pending
        while pending and (pending[0][1].done() or pending[0][0] <= now):
            _deliver([pending.popleft()[1]], [InDoubt(AWAY, retry_after=2)])
        again = self._loop.call_later(PATIENCE_STEP, self._give_up) if pending else None
        self._impatient = again

    def _run(self, lane: Lane, session: Session) -> None:
        while batch := _next_batch(lane):
            awaited = [each for each in batch if not each[1].done()]
            operations = [operation for operation, _, _ in awaited]
            answers = session.carry_out(operations) if operations else []
            futures = [future for _, future, _ in awaited]
            self._loop.call_soon_threadsafe(_deliver, futures, answers)
        session.close()


def _next_batch(lane: Lane) -> list[Waiting]:
    """What waits now; empty when it is time to end.

    Ends of requests wait a moment for one another and for the next holds: one commit serves all.
    """
    batch: list[Waiting] = []
    until: float | None = None
    while len(batch) < LARGEST_BATCH:
        try:
            waiting = lane.get(timeout=_left(until))
        except queue.Empty:
            break
        if waiting is None:
            if batch:
                lane.put(None)
            break
        batch.append(waiting)
        if not waiting[2]:
            until = 0.0
        elif until is None:
            until = time.monotonic() + LINGER_SECONDS
    return batch


def _left(until: float | None) -> float | None:
    """Seconds that the writer may still wait; None: as long as it takes."""
    return None if until is None else max(0.0, until - time.monotonic())


def _deliver(futures: Sequence["asyncio.Future[Answer]"], answers: Sequence[Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)

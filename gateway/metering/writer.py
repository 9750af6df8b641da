"""The writer: one durable commit for everything that waits (D6), in threads of its own.

SQLite has one thread, with the only connection that writes; PostgreSQL has two, so that one batch
is decided while the other is made durable. All operations of a key's requests go to the same
thread, in their order. Each is handed over as a value and answered by a future. A batch that meets
a bad operation is rolled back and its operations run one by one, so that the bad one fails alone;
one that meets an absent database fails as a whole, so that nobody waits for others' patience.
"""

import asyncio
import logging
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from zlib import crc32

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError, InDoubt, MeteringUnavailable
from gateway.metering.books import Books
from gateway.metering.ledger import Answer, carry_out
from gateway.metering.link import Link
from gateway.metering.operations import (
    Administration,
    Extend,
    Hold,
    Operation,
    Record,
    Resolve,
)
from gateway.metering.statements import Statements

LARGEST_BATCH = 512
POSTGRES_THREADS = 2
LINGER_SECONDS = 0.001
PATIENCE_SECONDS = 6.0
"""How long an operation may wait; longer than the database's own time limits."""
PATIENCE_STEP = 0.25
DEADLOCK_TRIES = 3
_RING_STATES = {"40001", "40P01", "23505"}
"""SQLSTATEs of a transaction that failed because of others; it may be repeated. The last: a claim
that somebody else made since it was looked for, which is found when it is looked for again."""
_AWAY = "the ledger's database does not answer"
log = logging.getLogger(__name__)

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
        self._sessions = [_Session(engine, statements, self.instance) for _ in self._lanes]
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
            _deliver([pending.popleft()[1]], [InDoubt(_AWAY, retry_after=2)])
        again = self._loop.call_later(PATIENCE_STEP, self._give_up) if pending else None
        self._impatient = again

    def _run(self, lane: Lane, session: "_Session") -> None:
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


class _CommitFailed(Exception):
    """The connection was lost in the commit, so nobody knows whether it took place."""


class _Session:
    """A writer's connection, opened when needed and opened anew after it failed."""

    def __init__(self, engine: Engine, statements: Statements, instance: str) -> None:
        self._engine = engine
        self._statements = statements
        self._instance = instance
        self._sqlite = engine.dialect.name == "sqlite"
        self._connection: PoolProxiedConnection | None = None
        self.batch = self.commits = self.operations = 0
        """Operations in the last commit; commits, and operations, since the start."""

    def carry_out(self, operations: Sequence[Operation]) -> list[Answer]:
        """Answers in the operations' order; once the database is away, it is for all the rest."""
        answers: list[Answer] = []
        for batch in _batches(operations):
            if answers and isinstance(answers[-1], MeteringUnavailable):
                answers += [MeteringUnavailable(_AWAY, retry_after=2) for _ in batch]
            else:
                answers += self._carry_out(batch)
        return answers

    def _carry_out(self, operations: Sequence[Operation]) -> list[Answer]:
        reused = self._connection is not None
        try:
            return self._commit_unless_in_a_ring(operations)
        except self._away as error:
            lost = reused and self._is_lost(error)
            self.close()
            if lost:  # it may have died long ago: only a new connection can tell
                return self._carry_out(operations)
            log.error(  # noqa: TRY400  # a dead database would fill the log with its traceback
                "the ledger could not be written: %s", type(error).__name__
            )
            told = InDoubt if isinstance(error, _CommitFailed) else MeteringUnavailable
            return [told(_AWAY, retry_after=2) for _ in operations]
        except Exception:
            # Whatever is wrong with one operation, this thread must live: all requests wait for it.
            self.close()
            if len(operations) > 1:
                return [self._carry_out([operation])[0] for operation in operations]
            log.exception("the ledger cannot carry this out: %s", type(operations[0]).__name__)
            return [GatewayError("the gateway itself failed; the request is not charged")]

    def close(self) -> None:
        if self._connection is not None:
            # sqlite3 closes only once its last cursor is gone; its lock must go now.
            with suppress(self._engine.dialect.loaded_dbapi.Error):
                self._connection.rollback()
            self._connection.invalidate()
            self._connection = None

    @property
    def _away(self) -> tuple[type[Exception], ...]:
        """What is raised when the database, not an operation, is at fault."""
        driver = self._engine.dialect.loaded_dbapi
        away = (driver.OperationalError, driver.InterfaceError, SQLAlchemyError, OSError)
        return (*away, _CommitFailed)

    def _is_lost(self, error: Exception) -> bool:
        dialect = self._engine.dialect
        if self._connection is None or not isinstance(error, dialect.loaded_dbapi.Error):
            return False
        return dialect.is_disconnect(error, self._connection.dbapi_connection, None)

    def _commit_unless_in_a_ring(self, operations: Sequence[Operation]) -> list[Answer]:
        """Batches of other gateways may have waited for this one as it did for them."""
        driver = self._engine.dialect.loaded_dbapi
        for _ in range(DEADLOCK_TRIES - 1):
            try:
                return self._commit(operations)
            except (driver.OperationalError, driver.IntegrityError) as error:
                if getattr(error, "sqlstate", None) not in _RING_STATES or not self._connection:
                    raise
                self._connection.rollback()
        return self._commit(operations)

    def _commit(self, operations: Sequence[Operation]) -> list[Answer]:
        connection = self._connection = self._connection or self._engine.raw_connection()
        link = Link(connection.driver_connection)  # type: ignore[arg-type]  # it is there
        if self._sqlite:
            link.cursor.execute("BEGIN IMMEDIATE", ())
        answers = carry_out(Books(link, self._statements, self._instance), operations)
        try:
            connection.commit()
        except self._away as error:
            raise _CommitFailed from error
        self.batch = len(operations)
        self.commits += 1
        self.operations += len(operations)
        return answers


def _batches(operations: Sequence[Operation]) -> list[list[Operation]]:
    """What may share a transaction: administration reads what the rest wrote, and goes alone."""
    batches: list[list[Operation]] = []
    for operation in operations:
        alone = isinstance(operation, Administration)
        if alone or not batches or isinstance(batches[-1][0], Administration):
            batches.append([operation])
        else:
            batches[-1].append(operation)
    return batches


def _deliver(futures: Sequence["asyncio.Future[Answer]"], answers: Sequence[Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)

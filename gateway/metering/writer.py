"""The writer: one thread, one connection, one durable commit for everything that waits (D6).

Each operation is handed over as a value and answered by a future. A batch that meets a bad
operation is rolled back and its operations run one by one, so that the bad one fails alone; one
that meets an absent database fails as a whole, so that nobody waits for others' patience.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError, InDoubt, MeteringUnavailable
from gateway.metering.ledger import Answer, Batch
from gateway.metering.operations import Operation, Resolve
from gateway.metering.statements import Cursor, Statements

LARGEST_BATCH = 512
LINGER_SECONDS = 0.02
PATIENCE_SECONDS = 6.0
"""How long an operation may wait; longer than the database's own time limits."""
_AWAY = "the ledger's database does not answer"
log = logging.getLogger(__name__)

Waiting = tuple[Operation, "asyncio.Future[Answer]"]


class Writer:
    """Carries operations out, in order, durably. `engine` must be its own."""

    def __init__(self, engine: Engine, patience: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self.patience = patience
        self._statements = Statements(engine.dialect)
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    async def submit(self, operation: Operation) -> bool:
        """True once it is durable, False if it had been resolved before; raises its refusal."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        patience = self._loop.call_later(self.patience, _give_up, future)
        self._queue.put((operation, future))
        try:
            answer = await future
        finally:
            patience.cancel()
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def close(self) -> None:
        """Carry out what still waits, then end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()

    def _run(self) -> None:
        session = _Session(self._engine, self._statements)
        while batch := self._next_batch():
            awaited = [each for each in batch if not each[1].done()]
            operations = [operation for operation, _ in awaited]
            answers = session.carry_out(operations) if operations else []
            futures = [future for _, future in awaited]
            self._loop.call_soon_threadsafe(_deliver, futures, answers)
        session.close()

    def _next_batch(self) -> list[Waiting]:
        """What waits now; empty when it is time to end.

        An end of a request can wait a little for the next one's hold: one commit serves both, and
        the next hold does not have to wait for the last settle.
        """
        batch: list[Waiting] = []
        until: float | None = None
        while len(batch) < LARGEST_BATCH:
            try:
                waiting = self._queue.get(timeout=_left(until))
            except queue.Empty:
                break
            if waiting is None:
                if batch:
                    self._queue.put(None)
                break
            batch.append(waiting)
            if not isinstance(waiting[0], Resolve):
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
    """The writer's connection, opened when needed and opened anew after it failed."""

    def __init__(self, engine: Engine, statements: Statements) -> None:
        self._engine = engine
        self._statements = statements
        self._sqlite = engine.dialect.name == "sqlite"
        self._connection: PoolProxiedConnection | None = None

    def carry_out(self, operations: Sequence[Operation]) -> list[Answer]:
        reused = self._connection is not None
        try:
            return self._commit(operations)
        except self._away as error:
            lost = reused and self._is_lost(error)
            self.close()
            if lost:  # it may have died long ago: only a new connection can tell
                return self.carry_out(operations)
            log.error(  # noqa: TRY400  # a dead database would fill the log with its traceback
                "the ledger could not be written: %s", type(error).__name__
            )
            told = InDoubt if isinstance(error, _CommitFailed) else MeteringUnavailable
            return [told(_AWAY, retry_after=2) for _ in operations]
        except Exception:
            # Whatever is wrong with one operation, this thread must live: all requests wait for it.
            self.close()
            if len(operations) > 1:
                return [self.carry_out([operation])[0] for operation in operations]
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

    def _commit(self, operations: Sequence[Operation]) -> list[Answer]:
        connection = self._connection = self._connection or self._engine.raw_connection()
        cursor: Cursor = connection.cursor()
        if self._sqlite:
            cursor.execute("BEGIN IMMEDIATE", {})
        answers = Batch(cursor, self._statements, operations).run()
        try:
            connection.commit()
        except self._away as error:
            raise _CommitFailed from error
        return answers


def _give_up(future: "asyncio.Future[Answer]") -> None:
    _deliver([future], [InDoubt(_AWAY, retry_after=2)])


def _deliver(futures: Sequence["asyncio.Future[Answer]"], answers: Sequence[Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)

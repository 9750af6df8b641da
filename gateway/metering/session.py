"""A session: the connection on which a writer's thread commits, batch by batch.

A batch that meets a bad operation is rolled back and its operations run one by one, so that the bad
one fails alone; one that meets an absent database fails as a whole, so that nobody waits for
others' patience.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError, InDoubt, MeteringUnavailable
from gateway.metering.books import Books
from gateway.metering.ledger import Answer, carry_out
from gateway.metering.link import Link
from gateway.metering.operations import Administration, Operation
from gateway.metering.statements import Statements

AWAY = "the ledger's database does not answer"
DEADLOCK_TRIES = 3
_RING_STATES = {"40001", "40P01", "23505"}
"""SQLSTATEs of a transaction that failed because of others; it may be repeated. The last: a claim
that somebody else made since it was looked for, which is found when it is looked for again."""
log = logging.getLogger(__name__)


class _CommitFailed(Exception):
    """The connection was lost in the commit, so nobody knows whether it took place."""


class Session:
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
                answers += [MeteringUnavailable(AWAY, retry_after=2) for _ in batch]
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
            return [told(AWAY, retry_after=2) for _ in operations]
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

"""A ledger on a real database, whose clock a test turns: what is asked of it, and what it says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, insert, text

from gateway.errors import GatewayError
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import Operation
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import metadata, organisation, project
from tests.gateway.ledger.model import Answer

PROJECTS = {"p1": "o1", "p2": "o1", "p3": "o2"}


class Bench:
    """One database for many examples; each begins with empty tables."""

    def __init__(self, url: str, folder: Path) -> None:
        migrate(Settings(config=folder, data=folder, database=Database(url)))
        self._runner = asyncio.Runner()
        self._engine = open_writing(database_url(url), checkpoints=False)
        with self._engine.begin() as connection:
            connection.execute(text("CREATE TABLE test_clock (ms BIGINT NOT NULL)"))
            connection.execute(text("INSERT INTO test_clock VALUES (0)"))
        self._runner.run(self._open(url))

    async def _open(self, url: str) -> None:
        engine = open_writing(database_url(url), checkpoints=True)
        self._writer = Writer(engine, clock="SELECT ms FROM test_clock")

    def begin(self, now: int) -> None:
        with self._engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            for id_ in sorted(set(PROJECTS.values())):
                connection.execute(insert(organisation).values(id=id_, name=id_, created_ms=0))
            for id_, owner in PROJECTS.items():
                values = {"id": id_, "organisation": owner, "name": id_, "created_ms": 0}
                connection.execute(insert(project).values(values))
        self.turn(now)

    def turn(self, now: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(text("UPDATE test_clock SET ms = :now"), {"now": now})

    def ask(self, *operations: Operation) -> list[Answer]:
        """The answers to operations that arrive together; a refusal by its name."""
        return self._runner.run(self._ask(operations))

    async def _ask(self, operations: Sequence[Operation]) -> list[Answer]:
        asked = [self._writer.submit(each) for each in operations]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [_named(each) for each in answers]

    def looking(self) -> Connection:
        """A second connection; what it writes is rolled back with its end."""
        return self._engine.connect()

    def close(self) -> None:
        self._runner.run(self._writer.close())
        self._runner.close()
        self._engine.dispose()


def _named(answer: bool | BaseException) -> Answer:  # noqa: FBT001
    if isinstance(answer, GatewayError):
        return type(answer).__name__
    if isinstance(answer, BaseException):
        raise answer
    return answer

"""Edges: the named moments at which a victim kills itself, around every step of a transaction."""

import os
import signal
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

STEPS = ("hold", "extend", "settle", "void", "lose", "judge", "budget")
MOMENTS = ("begun", "deciding", "writing", "committing", "committed", "answered")


@dataclass(frozen=True)
class Point:
    """In which operation, and at which moment of it."""

    step: str
    moment: str

    @property
    def name(self) -> str:
        return f"{self.step}/{self.moment}"


EDGES = [
    *(Point(step, moment) for step in STEPS for moment in MOMENTS),
    Point("journal", "written"),
    Point("journal", "committed"),
    Point("journal", "replayed"),
]


class Edged:
    """An engine whose process dies at one point."""

    def __init__(self, engine: Engine, point: Point) -> None:
        self._engine = engine
        self._point = point
        self.step = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._engine, name)

    def reached(self, moment: str) -> None:
        if self._point == Point(self.step, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def raw_connection(self) -> "EdgedConnection":
        return EdgedConnection(self, self._engine.raw_connection())


class EdgedConnection:
    """A connection that says how far its transaction is."""

    def __init__(self, home: Edged, connection: Any) -> None:  # noqa: ANN401
        self._home = home
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._connection, name)

    @property
    def driver_connection(self) -> "EdgedDriver":
        return EdgedDriver(self._home, self._connection.driver_connection)

    def commit(self) -> None:
        self._home.reached("committing")
        self._connection.commit()
        self._home.reached("committed")


class EdgedDriver:
    """The driver's own connection."""

    def __init__(self, home: Edged, driver: Any) -> None:  # noqa: ANN401
        self._home = home
        self._driver = driver

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._driver, name)

    def cursor(self) -> "EdgedCursor":
        return EdgedCursor(self._home, self._driver.cursor())


class EdgedCursor:
    """A cursor that tells the first statement, the last read and the middle of the writes apart."""

    def __init__(self, home: Edged, cursor: Any) -> None:  # noqa: ANN401
        self._home = home
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._cursor, name)

    def execute(self, sql: str, parameters: Any) -> object:  # noqa: ANN401
        self._home.reached("begun")
        done = self._cursor.execute(sql, parameters)
        if "FROM budget" in sql:
            self._home.reached("deciding")
        if sql.startswith(("INSERT", "UPDATE")):
            self._home.reached("writing")
        return done

    def executemany(self, sql: str, parameters: Any) -> object:  # noqa: ANN401
        done = self._cursor.executemany(sql, parameters)
        self._home.reached("writing")
        return done

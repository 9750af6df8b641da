"""The link: one transaction's way to its database, many statements in one journey where it can."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from gateway.metering.sql import Cursor, Read, Row

Asked = tuple[Read, *tuple[object, ...]]
"""A statement and its parameters."""


_NOTHING: set[str] = set()


class Connection(Protocol):
    """What sqlite3's and psycopg's connections have in common."""

    def cursor(self) -> Cursor: ...


class Link:
    """A connection inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.cursor = connection.cursor()
        self._pipeline = getattr(connection, "pipeline", None)

    def ask(self, *asked: Asked) -> list[Sequence[Row]]:
        """The rows of each statement, which run in this order; an empty set asks for nothing."""
        if self._pipeline is None:
            return [
                () if _NOTHING in each else each[0].all(self.cursor, *each[1:]) for each in asked
            ]
        with self._pipeline():
            cursors = [None if _NOTHING in each else self._send(each) for each in asked]
            return [() if cursor is None else cursor.fetchall() for cursor in cursors]

    def at_once(self) -> AbstractContextManager[object]:
        """Whatever runs inside makes one journey; errors may come as late as the end of it."""
        return nullcontext() if self._pipeline is None else self._pipeline()

    def _send(self, asked: Asked) -> Cursor:
        statement, *values = asked
        cursor = self._connection.cursor()
        statement.send(cursor, *values)
        return cursor

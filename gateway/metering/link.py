"""The link: one transaction's way to its database, many statements in one journey where it can."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from gateway.metering.sql import Cursor, Read, Row

Asked = tuple[Read, *tuple[object, ...]]
"""A statement and its parameters."""


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
        wanted = [not any(isinstance(value, set) and not value for value in each) for each in asked]
        with self.at_once():
            cursors = [
                self._send(each) for each, is_wanted in zip(asked, wanted, strict=True) if is_wanted
            ]
            answers = iter([cursor.fetchall() for cursor in cursors])
        return [next(answers) if is_wanted else () for is_wanted in wanted]

    def at_once(self) -> AbstractContextManager[object]:
        """Whatever runs inside makes one journey; errors may come as late as the end of it."""
        return nullcontext() if self._pipeline is None else self._pipeline()

    def _send(self, asked: Asked) -> Cursor:
        statement, *values = asked
        cursor = self._connection.cursor()
        statement.send(cursor, *values)
        return cursor

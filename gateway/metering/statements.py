"""The ledger's SQL: written with SQLAlchemy, compiled once per database, run on the bare driver.

Compiling at every call costs more than the statements themselves on the path of each request.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Dialect, bindparam, insert, literal_column, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import Executable

from gateway.tables import api_key, attempt, balance, entry, generation

Row = dict[str, Any]


class Cursor(Protocol):
    """What sqlite3's and psycopg's cursors have in common."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None: ...
    def execute(self, sql: str, parameters: Mapping[str, Any], /) -> object: ...
    def executemany(self, sql: str, parameters: Sequence[Mapping[str, Any]], /) -> object: ...
    def fetchone(self) -> Sequence[Any] | None: ...


class Statements:
    """Every statement of the ledger in one dialect's SQL, with named parameters."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = _named(dialect)
        money = (balance.c.limit_nano, balance.c.posted_nano, balance.c.held_nano)
        characters = (balance.c.posted_characters, balance.c.held_characters)
        self.lock_balance = self._sql(
            select(balance.c.scope, api_key.c.disabled, api_key.c.expires_ms, *money, *characters)
            .select_from(balance)
            .join(api_key, balance.c.scope == literal_column("'key:'").concat(api_key.c.hash))
            .where(balance.c.scope == bindparam("scope"))
            .with_for_update(of=balance)
        )
        self.update_balance = self._sql(
            update(balance)
            .where(balance.c.scope == bindparam("scope"))
            .values(
                _bound(
                    "limit_nano",
                    "posted_nano",
                    "held_nano",
                    "posted_characters",
                    "held_characters",
                )
            )
        )
        self.insert_key = self._sql(insert(api_key))
        self.insert_balance = self._sql(insert(balance))
        self.change_key = self._sql(
            update(api_key)
            .where(api_key.c.hash == bindparam("key_hash"))
            .values(_bound("name", "disabled", "updated_ms"))
        )
        self.insert_generation = self._sql(insert(generation))
        self.insert_attempt = self._sql(
            insert(attempt).values(
                _bound("generation_id", "seq", "provider", "model", "voice", "started_ms")
                | {"outcome": literal_column("'intent'"), "liability_nano": literal_column("0")}
            )
        )
        self.insert_entry = self._sql(insert(entry))
        held = (generation.c.id == bindparam("generation_id")) & (
            generation.c.status == literal_column("'held'")
        )
        self.extend_generation = self._sql(
            update(generation)
            .where(held)
            .values(hold_nano=generation.c.hold_nano + bindparam("more_nano"))
            .returning(generation.c.hold_nano)
        )
        self.resolve_generation = self._sql(
            update(generation)
            .where(held)
            .values(_bound(*_CLOSED))
            .returning(generation.c.hold_nano, generation.c.hold_characters)
        )
        self.end_attempt = self._sql(
            update(attempt)
            .where(attempt.c.generation_id == bindparam("generation_id"))
            .where(attempt.c.seq == bindparam("seq"))
            .values(_bound(*_ENDED))
        )

    def one(self, cursor: Cursor, sql: str, values: Row) -> Row | None:
        cursor.execute(sql, values)
        row = cursor.fetchone()
        if row is None or cursor.description is None:
            return None
        return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

    def many(self, cursor: Cursor, sql: str, rows: Sequence[Row]) -> None:
        if len(rows) == 1:
            cursor.execute(sql, rows[0])
        elif rows:
            cursor.executemany(sql, rows)

    def _sql(self, statement: Executable) -> str:
        compiled = statement.compile(  # type: ignore[attr-defined]  # every Executable here is a ClauseElement
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        return str(compiled)


def _named(dialect: Dialect) -> Dialect:
    """SQLite's driver takes :name as well as ?; psycopg has named parameters of its own."""
    return sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect


def _bound(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_CLOSED = (
    "status",
    "http_status",
    "error_type",
    "model",
    "provider",
    "voice",
    "upstream_id",
    "charged_characters",
    "cost_nano",
    "liability_nano",
    "audio_ms",
    "first_audio_ms",
    "duration_ms",
    "fallbacks",
    "cancelled",
)
_ENDED = (
    "outcome",
    "http_status",
    "error_type",
    "latency_ms",
    "first_audio_ms",
    "upstream_id",
    "liability_nano",
)

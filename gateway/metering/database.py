"""The database: one URL opened twice, for the writer's own connection and for all reading."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

BUSY_SECONDS = 2
# Whatever the ledger's writer asks for is found by an index. A plan that was made and kept while
# the tables were small would go through all of them for good.
_BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
# Pages read parts of large tables, mostly from memory, where a page costs the same whichever was
# read before it: by an index they are half as long about a fifth of the rollups as through all of
# them. And they are over before PostgreSQL's compiler would be.
_IN_PARTS = " -c random_page_cost=1.0 -c jit=off"


class DatabaseError(Exception):
    """A database URL that cannot be used."""


def database_url(text: str) -> URL:
    """Accept SQLite and PostgreSQL under any driver's name, and settle on ours."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseError("database url: not a URL like sqlite+aiosqlite:///data/x.db") from None
    match url.get_backend_name():
        case "sqlite":
            return url.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise DatabaseError(f"database url: {other!r} is neither sqlite nor postgresql")


@contextmanager
def alone_on(url: URL) -> Iterator[None]:
    """SQLite takes one gateway: a file beside the database is locked for as long as it lives."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    with Path(url.database + ".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DatabaseError(
                f"another gateway works on {url.database}: SQLite takes one process with one "
                "worker; for more, give all of them the same PostgreSQL"
            ) from None
        yield


def open_writing(url: URL, *, checkpoints: bool) -> Engine:
    """The engine behind a single writing connection.

    SQLite: only the serving writer checkpoints the WAL (the WAL-reset bug below 3.51.3 needs two).
    """
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    more = "" if url.get_backend_name() == "sqlite" else _BY_INDEX
    engine = create_engine(url, poolclass=NullPool, connect_args=_patience(url, more))
    if url.get_backend_name() == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA secure_delete=ON")  # a text that is deleted is gone
            if not checkpoints:
                connection.execute("PRAGMA wal_autocheckpoint=0")

        @event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:  # noqa: ANN401  # SQLAlchemy types it no better
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def open_reading(url: URL) -> AsyncEngine:
    """The engine behind every read."""
    if url.get_backend_name() != "sqlite":
        patience = _patience(url, _IN_PARTS)
        return create_async_engine(url, pool_pre_ping=True, connect_args=patience)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"), connect_args=_patience(url)
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:  # noqa: ANN401  # aiosqlite's adapter
        connection.cursor().execute("PRAGMA query_only=ON")

    return engine


def _patience(url: URL, options: str = "") -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY_SECONDS}
    return {
        "connect_timeout": BUSY_SECONDS,
        "tcp_user_timeout": 5000,  # ms; a network that swallows everything breaks no connection
        "options": f"-c lock_timeout={BUSY_SECONDS}s -c statement_timeout=5s{options}",
    }

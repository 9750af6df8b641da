"""Filling tables as fast as each database can, and both from the same rows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Table, text

CHUNK = 20_000


def fill(
    connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[object]]
) -> Iterator[int]:
    """Insert rows, and give how many there were after each chunk."""
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(f'"{name}"' for name in names)
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        if connection.dialect.name == "sqlite":
            places = ", ".join("?" * len(names))
            driver.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", chunk)  # noqa: S608  # our own names
        else:
            with driver.cursor().copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
                for row in chunk:
                    copy.write_row(row)
        yield len(chunk)


@contextmanager
def without_indexes(engine: Engine, *tables: Table) -> Iterator[None]:
    """Indexes that serve no key are made anew at the end, which is far quicker."""
    with engine.begin() as connection:
        made = [found for table in tables for found in _indexes(connection, table)]
        for name, _ in made:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    with engine.begin() as connection:
        for _, sql in made:
            connection.exec_driver_sql(sql)


def _indexes(connection: Connection, table: Table) -> list[tuple[str, str]]:
    """Names, and what makes them."""
    if connection.dialect.name == "sqlite":
        wanted = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        found = connection.execute(text(f"{wanted} AND tbl_name = :name"), {"name": table.name})
    else:
        wanted = "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix%'"
        found = connection.execute(text(f"{wanted} AND tablename = :name"), {"name": table.name})
    return [(row[0], row[1]) for row in found]


def unguarded(connection: Connection) -> None:
    """Neither waits for the disk nor looks up what rows refer to; for this connection alone."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text("SET synchronous_commit = off"))
        connection.execute(text("SET statement_timeout = 0"))

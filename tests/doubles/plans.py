"""What a page's queries are, and which of their plans go through a whole table."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from litestar.testing import AsyncTestClient
from sqlalchemy import Connection, Engine, event, text

from gateway.app import create_app
from gateway.configuration import read_settings
from gateway.dashboard.sessions import COOKIE, Sessions
from gateway.endpoints.state import Gateway

LARGE = {"generation", "attempt", "entry", "rollup", "audit"}
"""Tables that grow with use. Those of keys are read whole where that is quicker."""
_READS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
_STOPPED = {"Limit", "Subquery Scan", "Append", "Result"}
"""Below a limit these ask for no more rows than it does."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One statement as it was run."""

    sql: str
    values: Any


@dataclass(slots=True)
class Visit:
    """A gateway inside this process, without a socket, and what its pages ask the database."""

    client: AsyncTestClient[Any]
    gateway: Gateway
    heard: list[Asked] = field(default_factory=list)

    async def asked(self, page: str, key: str) -> list[Asked]:
        """What a page asks for the holder of a key."""
        token = Sessions(self.gateway.pepper).begin(self.gateway.callers.stored(key)).token
        self.heard.clear()
        answer = await self.client.get(
            page, headers={"cookie": f"{COOKIE}={token}"}, follow_redirects=False
        )
        assert answer.status_code == 200, (page, answer.text)
        return [*self.heard]


@asynccontextmanager
async def visiting(environ: Mapping[str, str]) -> AsyncIterator[Visit]:
    """environ: as `running` makes it; the database must have been migrated."""
    app = create_app(read_settings(environ), environ)
    async with AsyncTestClient(app, base_url="http://127.0.0.1") as client:
        visit = Visit(client, app.state["gateway"])
        with hearing(visit.gateway.reading.sync_engine, visit.heard):
            yield visit


@contextmanager
def hearing(engine: Engine, heard: list[Asked]) -> Iterator[None]:
    def hear(_: object, __: object, sql: str, values: object, *___: object) -> None:
        heard.append(Asked(sql, values))

    event.listen(engine, "before_cursor_execute", hear)
    yield
    event.remove(engine, "before_cursor_execute", hear)


def whole(connection: Connection, asked: Asked) -> list[str]:
    """The steps of its plan that go through a whole large table, or may.

    Reading in an index's order until a page is full is none, unless it leaves rows out, nor is all
    of a partial index.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    how = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN (FORMAT JSON) "
    found = connection.exec_driver_sql(how + asked.sql, asked.values)
    partial = _partial_indexes(connection)
    if is_sqlite:
        return list(_lite(list(found.all()), partial, asked.sql))
    [[[plan]]] = found.all()
    return list(_tree(plan["Plan"], partial, is_limited=False))


def _partial_indexes(connection: Connection) -> set[str]:
    sqlite = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'"
    postgres = "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%WHERE%'"
    wanted = sqlite if connection.dialect.name == "sqlite" else postgres
    return {row[0] for row in connection.execute(text(wanted))}


def _lite(rows: list[Any], partial: set[str], sql: str) -> Iterator[str]:
    """Of SQLite's steps, as (id, parent, unused, detail)."""
    sorts = {row[1] for row in rows if row[3].startswith("USE TEMP B-TREE")}
    for _, parent, _, detail in rows:
        words = detail.split()
        if words[0] != "SCAN" or words[1] not in LARGE:
            continue
        is_page = re.search(rf"FROM {words[1]}\s+ORDER BY [^()]* LIMIT ", sql) is not None
        if not (is_page and parent not in sorts) and words[-1] not in partial:
            yield detail


def _tree(node: Mapping[str, Any], partial: set[str], *, is_limited: bool) -> Iterator[str]:
    """Of PostgreSQL's plan, as EXPLAIN's JSON has it."""
    kind, table = node["Node Type"], node.get("Relation Name")
    below = node.get("Plans", ())
    leads = [node, *_leads(node)]
    is_led = any("Index Cond" in each for each in leads)
    indexes = {each.get("Index Name") for each in leads}
    in_order = is_limited and "Index" in kind and "Filter" not in node
    if table in LARGE and kind in _READS and not (is_led or in_order or indexes & partial):
        yield f"{kind} on {table} {node.get('Index Name', '')}".strip()
    for each in below:
        passes = kind == "Limit" or (is_limited and kind in _STOPPED)
        yield from _tree(each, partial, is_limited=passes)


def _leads(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The index scans of a bitmap, which may be of several."""
    for each in node.get("Plans", ()):
        if each["Node Type"].startswith("Bitmap"):
            yield each
            yield from _leads(each)

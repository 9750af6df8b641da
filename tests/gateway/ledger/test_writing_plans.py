"""The writer's plans on PostgreSQL: made while its tables are empty, kept as long as it lives."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine, text

from gateway.metering.database import database_url, open_writing
from gateway.metering.sql import Read, Write
from gateway.metering.statements import Statements
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from tests.conftest import NewDatabase
from tests.gateway.ledger.asked import CREATE, hold, settle

LARGE = {"generation", "attempt", "entry", "balance", "claim", "rollup", "api_key", "budget"}
BATCHED = ["claims", "generations", "attempts", "keys", "budgets", "balances"]
"""What a batch reads before it decides."""


def test_a_plan_that_was_made_on_empty_tables_goes_by_index_for_good(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    url = new_database("postgresql")
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    engine = open_writing(database_url(url), checkpoints=True)
    statements = Statements(engine.dialect)
    pooled = engine.raw_connection()
    connection: psycopg.Connection = pooled.driver_connection  # type: ignore[assignment]  # it is one
    connection.execute("SET plan_cache_mode = force_generic_plan")
    walked = {}
    for name, asked in vars(statements).items():
        if isinstance(asked, Write):
            walked[name] = [*_walked(_plan(connection, asked.sql, {"rows": "[]"}))]
        elif isinstance(asked, Read) and name in BATCHED:
            values = {of: ["a"] for of in asked.names}
            walked[name] = [*_walked(_plan(connection, asked.sql, values))]
    pooled.invalidate()
    engine.dispose()
    assert {name: nodes for name, nodes in walked.items() if nodes} == {}
    assert {"close", "end_attempt", "update_balance", "drop_use", *BATCHED} <= walked.keys()


def _plan(connection: psycopg.Connection, sql: str, values: Mapping[str, object]) -> dict[str, Any]:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode(), values).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _walked(node: dict[str, Any]) -> Iterator[str]:
    """What goes through the whole of a large table."""
    changes = node["Node Type"] == "ModifyTable"
    if node.get("Relation Name") in LARGE and not changes and "Index Cond" not in node:
        yield f"{node['Node Type']} of {node['Relation Name']}"
    for child in node.get("Plans", ()):
        yield from _walked(child)


async def test_ending_a_request_leaves_the_indexes_of_requests_alone(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    url = new_database("postgresql")
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    await writer.submit(replace(CREATE, project="default"))
    ids = [f"gen-tts-{number:03}" for number in range(100)]
    for chunk in (ids[:60], ids[60:]):
        await asyncio.gather(*(writer.submit(hold(id_, 5)) for id_ in chunk))
        await asyncio.gather(*(writer.submit(settle(id_, 5)) for id_ in chunk))
    await writer.close()
    engine = create_engine(database_url(url))
    with engine.connect() as connection:
        counted = text(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'generation'"
        )
        updated, in_place = connection.execute(counted).one()
    engine.dispose()
    assert updated == len(ids)
    assert in_place > updated * 3 / 4, "where its page had no room, a row went to another one"

"""A request's identity: three writings that tell one another, and the searches that go by them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text

from gateway.identity import Identity, generation_of, new_identity
from gateway.metering.database import database_url, open_reading
from gateway.metering.searching import Wanted, search
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from tests.conftest import NewDatabase


@given(st.integers(0, 10**13 - 1), st.integers(0, 2**80 - 1))
def test_a_request_and_its_trace_tell_the_generation(at_ms: int, random: int) -> None:
    made = Identity(at_ms, f"{random:020x}")
    assert len(made.trace_id) == 32
    assert generation_of(made.request_id) == made.generation_id
    assert generation_of(made.trace_id) == made.generation_id


@pytest.mark.parametrize("named", ["", "req-1-a", "mine", "gen-tts-1-a", "g" * 32, "a" * 33])
def test_what_is_not_of_ours_tells_none(named: str) -> None:
    assert generation_of(named) is None


def test_no_two_requests_have_one_identity() -> None:
    assert len({new_identity() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_search_by_name_goes_by_indexes_alone(
    kind: str, tmp_path: Path, new_database: NewDatabase
) -> None:
    url = new_database(kind)
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    engine = open_reading(database_url(url))
    said: list[tuple[str, Any]] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def hear(_: object, __: object, sql: str, values: Any, *___: object) -> None:  # noqa: ANN401  # the driver's
        said.append((sql, values))

    async with engine.connect() as connection:
        if kind == "postgresql":  # on an empty table it would not take any
            await connection.execute(text("SET enable_seqscan = off"))
        await search(connection, Wanted(named="a" * 32), None, 10)
        sql, values = said[-1]
        explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
        told = [str(row) for row in await connection.exec_driver_sql(explain + sql, values)]
    await engine.dispose()
    plan = "\n".join(told)
    for name in ("request", "trace", "session", "user"):
        assert f"ix_generation_{name}" in plan
    assert "SCAN generation" not in plan
    assert "Seq Scan" not in plan

"""The usage page's own queries, on real SQLite and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import text

from gateway.metering.database import database_url, open_reading
from gateway.metering.operations import Lose
from gateway.metering.usage import (
    Group,
    Member,
    Window,
    series,
    summary,
    unknown_in,
    unknown_nano,
)
from tests.conftest import NewDatabase
from tests.doubles.life import Life, living

ALWAYS = (0, 4_102_444_800_000)


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        for _ in range(12):
            await lived.step()
        yield lived


async def test_a_summary_of_what_was_lived_has_all_of_it_in_order(life: Life) -> None:
    engine = open_reading(database_url(life.engine.url.render_as_string(hide_password=False)))
    async with engine.connect() as connection:
        for group in get_args(Group):
            whole = await series(connection, Window(*ALWAYS), "month", None)
            found = await summary(connection, Window(*ALWAYS), "month", group, "cost", 99)
            costs = [use.cost_nano for use in found.members.values()]
            assert costs == sorted(costs, reverse=True)
            assert found.steps == {at: use for (at, _), use in whole.items()}
            assert sum(costs) == sum(use.cost_nano for use in whole.values())
        apps = await summary(connection, Window(*ALWAYS), "month", "app", None, 99)
        assert list(apps.members) == [Member(), Member("=other"), Member("an app")]
        tasks = await summary(connection, Window(*ALWAYS), "month", "task", None, 99)
        assert list(tasks.members) == [Member(), Member("calm"), Member("narration")]
    await engine.dispose()


async def test_unknown_money_is_whose_it_is_and_read_by_its_own_index(life: Life) -> None:
    lost = list(life.held)[:4]
    await life.writer.submit(Lose(tuple(lost)))
    url = life.engine.url.render_as_string(hide_password=False)
    engine = open_reading(database_url(url))
    async with engine.connect() as connection:
        whole = await unknown_nano(connection, Window(*ALWAYS))
        asked = text("SELECT sum(cost_nano) FROM generation WHERE status = 'unknown'")
        assert whole == (await connection.execute(asked)).scalar_one() > 0
        own = [await unknown_nano(connection, Window(*ALWAYS, key)) for key in life.keys]
        assert sum(own) == whole
        assert await unknown_nano(connection, Window(*ALWAYS, None, "default")) == whole
        assert await unknown_nano(connection, Window(*ALWAYS, None, "radio")) == 0
        if engine.dialect.name == "sqlite":
            for window in (Window(*ALWAYS), Window(*ALWAYS, life.keys[0])):
                wanted = unknown_in(window).compile(
                    engine.sync_engine, compile_kwargs={"literal_binds": True}
                )
                plan = await connection.execute(text(f"EXPLAIN QUERY PLAN {wanted}"))
                assert "ix_attempt_open" in " ".join(row.detail for row in plan)
    await engine.dispose()

"""Rollups, on real SQLite and PostgreSQL: what was kept step by step is what a rebuild makes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from gateway.metering.operations import (
    AttemptResult,
    Closing,
    Hold,
    Intent,
    Judge,
    Lose,
    Record,
    Resolve,
)
from gateway.metering.rollups import Rebuilt, rebuild
from gateway.tables import attempt, generation, rollup
from tests.conftest import NewDatabase
from tests.doubles.life import AT_ONCE, Life, living

STEPS = 30


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        yield lived


def rows(engine: Engine) -> set[tuple[object, ...]]:
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(select(rollup))}


def rebuilt(engine: Engine) -> Rebuilt:
    with engine.begin() as connection:
        return rebuild(connection)


@pytest.mark.parametrize("seed", range(3))
async def test_rollups_are_what_a_rebuild_makes_whatever_happened(life: Life, seed: int) -> None:
    life.random.seed(seed)
    for _ in range(STEPS):
        await life.step()
        life.move_back()
    kept = rows(life.engine)
    with life.engine.begin() as connection:
        connection.execute(text("DELETE FROM rollup"))
    assert len({row[1] for row in kept if row[0] == "hour"}) > 1
    assert rebuilt(life.engine) == Rebuilt(len(kept), differed=len(kept))
    assert rows(life.engine) == kept
    assert rebuilt(life.engine) == Rebuilt(len(kept), differed=0)


async def test_a_row_that_nothing_is_left_in_goes(life: Life) -> None:
    hold = Hold(life.opening(), 100, Intent(1, "p", "m", "v", 1, 90))
    await life.writer.submit(hold)
    await life.writer.submit(Lose((hold.opening.id,)))
    assert {(row[3], row[4]) for row in rows(life.engine)} == {("", "p")}
    closing = Closing("voided", 502, 5, "provider_error", model="n", provider="q")
    await life.writer.submit(Resolve(hold.opening.id, closing))
    assert {(row[3], row[4]) for row in rows(life.engine)} == {("n", "q")}
    assert rebuilt(life.engine) == Rebuilt(2, differed=0)


async def test_what_is_lost_and_put_right_at_once_is_right(life: Life) -> None:
    """Both may come in one batch, whose changes of one row must end as the last one says."""
    holds = [Hold(life.opening(), 100, Intent(1, "p", "m", "v", 1, 90)) for _ in range(AT_ONCE)]
    await asyncio.gather(*(life.writer.submit(each) for each in holds))
    ids = [each.opening.id for each in holds]
    closing = Closing("settled", 200, 5, None, "n", "q", attempts=(AttemptResult(1, "done", 7, 5),))
    lost = [life.writer.submit(Lose((id_,))) for id_ in ids]
    judged = life.writer.submit(Judge((ids[0],), keep=False))
    await asyncio.gather(*lost, judged, *(life.writer.submit(Resolve(i, closing)) for i in ids))
    assert rebuilt(life.engine).differed == 0
    with life.engine.connect() as connection:
        ended = set(connection.execute(select(attempt.c.outcome, attempt.c.liability_nano)))
        assert "unknown" not in connection.execute(select(generation.c.status)).scalars()
    assert ended <= {("done", 7), ("abandoned", 0)}


async def test_what_nobody_came_back_for_counts_money_and_no_characters(life: Life) -> None:
    hold = Hold(life.opening(), 100, Intent(1, "p", "m", "v", 1, 90))
    await life.writer.submit(hold)
    assert rows(life.engine) == set()
    await life.writer.submit(Lose((hold.opening.id,)))
    counted = {row[7:11] for row in rows(life.engine)}
    assert counted == {(1, 0, 100, 90)}  # requests, characters, cost, liability
    await life.writer.submit(Judge((hold.opening.id,), keep=True))
    assert {row[7:11] for row in rows(life.engine)} == counted


async def test_a_rebuild_tells_how_many_rows_were_wrong_missing_or_too_many(life: Life) -> None:
    for _ in range(3):
        await life.writer.submit(
            Record(life.opening(), Closing("voided", 402, 1, "budget_exceeded"))
        )
    right = rows(life.engine)
    with life.engine.begin() as connection:
        connection.execute(text("UPDATE rollup SET characters = characters + 1"))
        connection.execute(rollup.insert().values(["hour", 0, "nobody", "", "", "", "", *[1] * 8]))
    assert rebuilt(life.engine) == Rebuilt(len(right), differed=len(right) + 1)
    assert rows(life.engine) == right


async def test_a_rebuild_beside_a_busy_gateway_loses_nothing(life: Life) -> None:
    async def rebuild_often() -> None:
        for _ in range(5):
            assert (await asyncio.to_thread(rebuilt, life.engine)).differed == 0

    async def live() -> None:
        for _ in range(STEPS):
            await life.step()

    await asyncio.gather(rebuild_often(), live())
    assert rebuilt(life.engine).differed == 0

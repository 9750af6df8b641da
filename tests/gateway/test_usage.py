"""Usage, read from the rollups on real SQLite and PostgreSQL: which hours count, and where."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.endpoints.usage import window_of
from gateway.errors import InvalidRequest
from gateway.metering import usage
from gateway.metering.database import database_url, open_reading
from gateway.metering.scopes import DAY_MS, HOUR_MS
from gateway.metering.spending import Credits, activity_of, credits_of
from gateway.metering.spent import Spent, period_starts, spent_since
from gateway.metering.usage import Member, Window, series
from gateway.tables import api_key, balance, budget, rollup
from tests.conftest import NewDatabase
from tests.doubles.life import Life, living


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# An hour's use, and the requests in it: a power of two each, so that every sum tells its parts.
HOURS = {
    at("2026-01-30T23:00"): 1,
    at("2026-01-31T00:00"): 2,
    at("2026-01-31T13:00"): 4,
    at("2026-01-31T14:00"): 8,
    at("2026-02-01T00:00"): 16,
    at("2026-02-01T05:00"): 32,
    at("2026-02-02T10:00"): 64,
}
WINDOWS = [
    ("2026-01-30", "2026-02-03"),
    ("2026-01-31T13:00", "2026-02-01T05:00"),
    ("2026-01-31T12:30", "2026-02-01T05:00:00.001"),
    ("2026-01-31T13:00:01", "2026-01-31T14:00"),
    ("2026-01-31T13:30", "2026-01-31T13:45"),
    ("2026-01-30T23:00", "2026-02-01"),
    ("2026-02-01", "2026-02-01"),
]
JANUARY, FEBRUARY = at("2026-01-01"), at("2026-02-01")


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        yield lived


@pytest.fixture
async def reading(life: Life) -> AsyncIterator[AsyncConnection]:
    url = life.engine.url.render_as_string(hide_password=False)
    engine = open_reading(database_url(url))
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def use(life: Life, key: str, start: int, requests: int, *names: str) -> None:
    """Write an hour's use down, and add it to its day's."""
    counted = [requests, 0, requests * 10, 0, 0, 0, 0, 0]
    named = (key, *(names or ("m", "p", "", "")))
    with life.engine.begin() as connection:
        connection.execute(rollup.insert().values(["hour", start, *named, *counted]))
        day = rollup.c.start_ms == start - start % DAY_MS
        its = rollup.c.key_hash == key
        known = connection.execute(
            rollup.update()
            .where(rollup.c.width == "day", day, its)
            .values(
                requests=rollup.c.requests + requests,
                cost_nano=rollup.c.cost_nano + requests * 10,
            )
        )
        if not known.rowcount:
            begun = start - start % DAY_MS
            connection.execute(rollup.insert().values(["day", begun, *named, *counted]))


def fill(life: Life) -> None:
    for start, requests in HOURS.items():
        use(life, life.keys[0], start, requests)


async def counted(
    reading: AsyncConnection, start: str, to: str, bucket: usage.Bucket
) -> dict[int, int]:
    told = await series(reading, window_of(start, to, None), bucket, None)
    return {begins: use.requests for (begins, _), use in told.items()}


@pytest.mark.parametrize("bucket", ["hour", "day", "month"])
async def test_the_hours_that_begin_within_the_window_count_and_no_others(
    life: Life, reading: AsyncConnection, bucket: usage.Bucket
) -> None:
    fill(life)
    for start, to in WINDOWS:
        told = await counted(reading, start, to, bucket)
        within = [n for hour, n in HOURS.items() if at(start) <= hour < at(to)]
        assert sum(told.values()) == sum(within), (start, to)


async def test_a_bucket_begins_where_its_hour_day_or_month_does(
    life: Life, reading: AsyncConnection
) -> None:
    fill(life)
    window = ("2026-01-31T13:00", "2026-02-02T11:00")
    hours = await counted(reading, *window, "hour")
    assert hours == {h: n for h, n in HOURS.items() if n in {4, 8, 16, 32, 64}}
    assert await counted(reading, *window, "day") == {
        at("2026-01-31"): 12,
        at("2026-02-01"): 48,
        at("2026-02-02"): 64,
    }
    assert await counted(reading, *window, "month") == {JANUARY: 12, FEBRUARY: 112}


async def test_two_keys_of_one_name_are_told_apart(life: Life, reading: AsyncConnection) -> None:
    for number, key in enumerate(life.keys, start=1):
        use(life, key, JANUARY, number)
    told = await series(reading, Window(JANUARY, FEBRUARY), "day", "key")
    assert {member.key_hash: use.requests for (_, member), use in told.items()} == {
        life.keys[0]: 1,
        life.keys[1]: 2,
    }
    assert {member.name for _, member in told} == {"k"}
    own = await series(reading, Window(JANUARY, FEBRUARY, life.keys[1]), "day", "key")
    assert [use.requests for use in own.values()] == [2]


async def test_a_project_has_the_use_of_its_keys(life: Life, reading: AsyncConnection) -> None:
    with life.engine.begin() as connection:
        moved = api_key.update().where(api_key.c.hash == life.keys[1])
        connection.execute(moved.values(project="radio"))
    for number, key in enumerate(life.keys, start=1):
        use(life, key, JANUARY, number)
    told = await series(reading, Window(JANUARY, FEBRUARY), "month", "project")
    assert {member.name: use.requests for (_, member), use in told.items()} == {
        "default": 1,
        "radio": 2,
    }


async def test_use_of_many_tasks_is_told_by_task_and_is_one_days_activity(
    life: Life, reading: AsyncConnection
) -> None:
    with life.engine.begin() as connection:
        for number, task in enumerate(("", "calm", "narration")):
            named = (life.keys[0], "m", "p", "an app", task)
            counted = [2**number, 0, 2**number * 10, 0, 0, 0, 0, 0]
            connection.execute(rollup.insert().values(["day", JANUARY, *named, *counted]))
    told = await series(reading, Window(JANUARY, FEBRUARY), "day", "task")
    assert {member.name: use.requests for (_, member), use in told.items()} == {
        None: 1,
        "calm": 2,
        "narration": 4,
    }
    [activity] = await activity_of(reading, JANUARY, JANUARY + DAY_MS, None)
    assert (activity.model, activity.use.requests, activity.use.cost_nano) == ("m", 7, 70)


async def test_what_has_no_name_has_none(life: Life, reading: AsyncConnection) -> None:
    use(life, life.keys[0], JANUARY, 1, "", "", "", "")
    for group in ("model", "provider", "app", "task"):
        told = await series(reading, Window(JANUARY, FEBRUARY), "day", group)  # type: ignore[arg-type]  # one of four
        assert [member for _, member in told] == [Member()]


async def test_an_answer_that_nobody_could_read_is_refused(
    life: Life, reading: AsyncConnection
) -> None:
    fill(life)
    window, most = window_of("2026-01-01", "2026-03-01", None), len(HOURS) - 1
    with pytest.raises(InvalidRequest, match="shorter time or a wider bucket"):
        await series(reading, window, "hour", None, most)
    assert len(await series(reading, window, "month", None, most)) == 2


async def test_a_key_tells_what_it_spent_lately_and_nothing_older(
    life: Life, reading: AsyncConnection
) -> None:
    day, week, month = period_starts(datetime.now(UTC))
    for start in {day, week, month}:
        use(life, life.keys[0], start, 1)
    use(life, life.keys[0], min(week, month) - HOUR_MS, 64)
    spent = await spent_since(reading, life.keys)
    starts = {day, week, month}
    assert spent[life.keys[0]] == Spent(
        None, 10, 10 * sum(s >= week for s in starts), 10 * sum(s >= month for s in starts)
    )
    assert spent[life.keys[1]] == Spent()


@pytest.mark.parametrize(
    ("limits", "total"),
    [
        ({}, 7),
        ({"global": 50}, 50),
        ({"organisation:default": 40}, 40),
        ({"organisation:default": 40, "global": 30}, 30),
        ({"project:default": 5, "organisation:other": 5}, 7),
    ],
)
async def test_credits_are_what_everybody_together_may_spend(
    life: Life, reading: AsyncConnection, limits: dict[str, int], total: int
) -> None:
    with life.engine.begin() as connection:
        for scope, nano in limits.items():
            values = {"scope": scope, "period": "total", "limit_nano": nano}
            connection.execute(budget.insert().values(values))
        connection.execute(
            balance.update()
            .where(balance.c.id == f"key:{life.keys[0]}|total|0")
            .values(posted_nano=7)
        )
    assert await credits_of(reading, None) == Credits(total, 7)
    assert await credits_of(reading, life.keys[0]) == Credits(7, 7)
    assert await credits_of(reading, life.keys[1]) == Credits(0, 0)

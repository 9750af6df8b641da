"""A usage page's summary is what its hours add up to, on real SQLite and PostgreSQL."""

import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.dashboard.pages.usage import amount
from gateway.metering.database import database_url, open_reading
from gateway.metering.operations import CreateKey
from gateway.metering.scopes import DAY_MS, HOUR_MS, period_start
from gateway.metering.usage import Bucket, Group, Measure, Member, Use, Window, summary
from gateway.tables import api_key, rollup
from tests.conftest import NewDatabase
from tests.doubles.life import Life, living


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


FIRST, LAST = at("2026-01-29T20:00"), at("2026-02-03T04:00")
WINDOWS = (
    (at("2026-01-01"), at("2026-03-01")),
    (at("2026-01-30T13:00"), at("2026-02-02T03:00")),
    (at("2026-01-30T12:30"), at("2026-02-02T03:00") + 1),
    (at("2026-01-31"), at("2026-02-02")),
    (at("2026-01-30T22:00"), at("2026-01-31T03:00")),
    (at("2026-01-31T05:00"), at("2026-01-31T09:00")),
    (at("2026-02-01"), at("2026-02-01")),
    (at("2027-01-01"), at("2027-02-01")),
)
MEASURES: tuple[Measure | None, ...] = (*get_args(Measure), None)


@dataclass(frozen=True, slots=True)
class Hour:
    """What one key used in one hour of one model and so on."""

    start: int
    key_hash: str
    names: tuple[str, str, str, str]
    """Model, provider, app and task."""
    use: Use

    def row(self, width: str) -> list[object]:
        use = self.use
        sums = [use.requests, use.characters, use.cost_nano, 0, use.audio_ms]
        more = [use.errors, use.fallbacks, use.cache_hits]
        return [width, self.start, self.key_hash, *self.names, *sums, *more]


@dataclass(frozen=True, slots=True)
class Known:
    """What was used, and by whom: names and projects of keys."""

    hours: list[Hour]
    keys: dict[str, tuple[str, str]]

    def within(self, window: Window) -> list[Hour]:
        return [
            each
            for each in self.hours
            if window.start_ms <= each.start < window.end_ms
            and window.key_hash in {None, each.key_hash}
            and window.project in {None, self.keys[each.key_hash][1]}
        ]

    def member(self, hour: Hour, group: Group) -> Member:
        name, project = self.keys[hour.key_hash]
        if group == "key":
            return Member(name, hour.key_hash)
        if group == "project":
            return Member(project)
        return Member(hour.names[("model", "provider", "app", "task").index(group)] or None)


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        yield lived


@pytest.fixture
async def known(life: Life) -> Known:
    """Of four keys, two of one name, in two projects."""
    keys = dict.fromkeys(life.keys, ("k", "default"))
    keys |= {secrets.token_hex(32): (name, "radio") for name in ("b", "a")}
    for hash_, (name, _) in list(keys.items())[2:]:
        await life.writer.submit(CreateKey(hash_, secrets.token_hex(32), name, name, "speak", 0))
    hours = _hours(Random(8), list(keys))
    days = _added(replace(each, start=each.start - each.start % DAY_MS) for each in hours)
    with life.engine.begin() as connection:
        for hash_, (_, project) in keys.items():
            its = api_key.c.hash == hash_
            connection.execute(api_key.update().where(its).values(project=project))
        for width, rows in (("hour", hours), ("day", days)):
            connection.execute(rollup.insert().values([each.row(width) for each in rows]))
    return Known(hours, keys)


@pytest.fixture
async def reading(life: Life) -> AsyncIterator[AsyncConnection]:
    engine = open_reading(database_url(life.engine.url.render_as_string(hide_password=False)))
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def _hours(random: Random, keys: list[str]) -> list[Hour]:
    return _added(
        Hour(
            random.randrange(FIRST, LAST, HOUR_MS),
            random.choice(keys),
            (
                random.choice(("", "m", "n")),
                random.choice(("", "p")),
                random.choice(("", "an app", "other")),
                random.choice(("", "calm", "narration")),
            ),
            Use(*(random.randrange(10**9) for _ in Use.__slots__)),
        )
        for _ in range(300)
    )


def _added(hours: Iterable[Hour]) -> list[Hour]:
    """Those of the same start and names in one."""
    found: dict[tuple[object, ...], Hour] = {}
    for each in hours:
        place = (each.start, each.key_hash, each.names)
        found.setdefault(place, replace(each, use=Use())).use.add(each.use)
    return list(found.values())


async def test_every_step_and_member_has_what_its_hours_add_up_to(
    reading: AsyncConnection, known: Known
) -> None:
    key = next(iter(known.keys))
    for times in WINDOWS:
        for whose in ((None, None), (key, None), (None, "radio"), (None, "nobody's")):
            window = Window(*times, *whose)
            within = known.within(window)
            for bucket in get_args(Bucket):
                for group in get_args(Group):
                    found = await summary(reading, window, bucket, group, "cost", 99)
                    steps: dict[int, Use] = {}
                    members: dict[Member, Use] = {}
                    for each in within:
                        begun = period_start(bucket, each.start)
                        steps.setdefault(begun, Use()).add(each.use)
                        members.setdefault(known.member(each, group), Use()).add(each.use)
                    asked = (window, bucket, group)
                    assert found.steps == steps, asked
                    assert found.members == members, asked


async def test_members_are_those_with_the_most_and_in_the_order_of_it(
    reading: AsyncConnection, known: Known
) -> None:
    window = Window(*WINDOWS[0])
    for group in get_args(Group):
        for by in MEASURES:
            whole = (await summary(reading, window, "day", group, by, 99)).members
            wanted = sorted(
                whole,
                key=lambda member: (
                    -amount(whole[member], by) if by else 0,  # sorted at once
                    member.name or "",
                    member.key_hash or "",
                ),
            )
            assert list(whole) == wanted, (group, by)
            for most in (1, 2):
                found = await summary(reading, window, "hour", group, by, most)
                first = {member: whole[member] for member in wanted[:most]}
                assert list(found.members.items()) == list(first.items()), (group, by)

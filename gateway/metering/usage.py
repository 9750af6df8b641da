"""What has been used: totals and series over generations, by key and by project."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, RowMapping, case, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.tables import api_key, attempt, generation

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
Bucket = Literal["hour", "day", "month"]
GROUPS = {
    "key": api_key.c.name,
    "model": generation.c.model,
    "provider": generation.c.provider,
    "app": generation.c.app,
    "project": generation.c.project,
}


@dataclass(slots=True)
class Use:
    """Counted use; money in nano-USD, audio in milliseconds."""

    requests: int = 0
    characters: int = 0
    cost_nano: int = 0
    audio_ms: int = 0
    errors: int = 0
    fallbacks: int = 0
    cache_hits: int = 0

    def add(self, other: "Use") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Window:
    """Which generations count: from `start_ms` on, before `end_ms`, of one key, project or all."""

    start_ms: int
    end_ms: int
    key_hash: str | None = None
    project: str | None = None

    def holds(self) -> ColumnElement[bool]:
        within = generation.c.created_ms.between(self.start_ms, self.end_ms - 1)
        return within & _of(self.key_hash, self.project)


async def series(
    connection: AsyncConnection, window: Window, bucket: Bucket, group_by: str | None
) -> dict[tuple[int, str | None], Use]:
    """Use by (bucket's start in epoch ms, group); months are summed up from days."""
    width = HOUR_MS if bucket == "hour" else DAY_MS
    start = (generation.c.created_ms - generation.c.created_ms % width).label("start")
    by: list[ColumnElement[Any]] = [start]
    if group_by is not None:
        by.append(GROUPS[group_by].label("name"))
    rows = await connection.execute(
        select(*by, *_sums())
        .select_from(generation)
        .join(api_key, generation.c.key_hash == api_key.c.hash)
        .where(window.holds())
        .group_by(*by)
        .order_by(*by)
    )
    used: dict[tuple[int, str | None], Use] = {}
    for row in rows.mappings():
        at = _month(row["start"]) if bucket == "month" else int(row["start"])
        name = row["name"] if group_by is not None else None
        used.setdefault((at, name), Use()).add(_use(row))
    return used


async def spent_since(connection: AsyncConnection, hashes: Sequence[str]) -> dict[str, "Spent"]:
    """Each key's cost in nano-USD this UTC day, week (from Monday) and month."""
    starts = period_starts(datetime.now(UTC))
    sums = [
        func.coalesce(
            func.sum(case((generation.c.created_ms >= start, generation.c.cost_nano), else_=0)), 0
        )
        for start in starts
    ]
    rows = await connection.execute(
        select(generation.c.key_hash, func.max(generation.c.created_ms), *sums)
        .where(generation.c.key_hash.in_(hashes))
        .group_by(generation.c.key_hash)
    )
    return {row[0]: Spent(row[1], int(row[2]), int(row[3]), int(row[4])) for row in rows}


@dataclass(frozen=True, slots=True)
class Spent:
    """One key's spending in the running periods, and when it was last used."""

    last_used_ms: int | None = None
    day_nano: int = 0
    week_nano: int = 0
    month_nano: int = 0


def period_starts(now: datetime) -> tuple[int, int, int]:
    """Epoch ms at which the UTC day, week (Monday) and month of `now` began."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    return (_ms(day), _ms(week), _ms(day.replace(day=1)))


async def generation_record(
    connection: AsyncConnection, generation_id: str
) -> tuple[RowMapping, Sequence[RowMapping]] | None:
    """One generation and its attempts in order."""
    row = (
        (await connection.execute(select(generation).where(generation.c.id == generation_id)))
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    attempts = await connection.execute(
        select(attempt).where(attempt.c.generation_id == generation_id).order_by(attempt.c.seq)
    )
    return row, attempts.mappings().all()


async def generation_ids(
    connection: AsyncConnection,
    key_hash: str | None,
    after: str | None,
    limit: int,
    *,
    project: str | None = None,
) -> list[str]:
    """Ids of a key, a project or all, newest first, from behind `after`. Ids sort by time."""
    wanted = select(generation.c.id).order_by(generation.c.id.desc()).limit(limit)
    wanted = wanted.where(_of(key_hash, project))
    if after is not None:
        wanted = wanted.where(generation.c.id < after)
    return list((await connection.execute(wanted)).scalars())


def _of(key_hash: str | None, project: str | None) -> ColumnElement[bool]:
    of_key = true() if key_hash is None else generation.c.key_hash == key_hash
    return of_key if project is None else of_key & (generation.c.project == project)


def _sums() -> list[ColumnElement[Any]]:
    failed = cast(generation.c.error_type.is_not(None), Integer)
    return [
        func.count().label("requests"),
        func.sum(generation.c.charged_characters).label("characters"),
        func.sum(generation.c.cost_nano).label("cost_nano"),
        func.sum(generation.c.audio_ms).label("audio_ms"),
        func.sum(failed).label("errors"),
        func.sum(generation.c.fallbacks).label("fallbacks"),
        func.sum(cast(generation.c.cache_hit, Integer)).label("cache_hits"),
    ]


def _use(row: RowMapping) -> Use:
    return Use(**{name: int(row[name] or 0) for name in Use.__slots__})


def _month(start_ms: int) -> int:
    day = datetime.fromtimestamp(start_ms / 1000, UTC)
    return _ms(day.replace(day=1))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

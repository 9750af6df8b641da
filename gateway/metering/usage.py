"""What has been used: series over the rollups, what keys spent lately, and keys' balances.

Requests that are still held are not in it; they are counted when they end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    and_,
    case,
    desc,
    func,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest
from gateway.metering.scopes import DAY_MS, HOUR_MS, period_start
from gateway.metering.unended import unended
from gateway.tables import api_key, generation, rollup

MOST_ROWS = 50_000
"""A longer answer is refused: nobody reads it, and everybody waits for it."""
MOST_HOURS = 3660 * 24
Bucket = Literal["hour", "day", "month"]
Group = Literal["key", "model", "provider", "app", "task", "project"]
_GROUPS: dict[Group, ColumnElement[Any]] = {
    "key": rollup.c.key_hash,
    "model": rollup.c.model,
    "provider": rollup.c.provider,
    "app": rollup.c.app,
    "task": rollup.c.task,
    "project": rollup.c.key_hash,  # whose key it is, is looked up afterwards
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

    @classmethod
    def of(cls, row: RowMapping) -> "Use":
        return cls(**{name: int(row[name]) for name in cls.__slots__})

    def add(self, other: "Use") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Window:
    """Which hours count: those that begin from `start_ms` on and before `end_ms`."""

    start_ms: int
    end_ms: int
    key_hash: str | None = None
    """Of one key; None: of all."""
    project: str | None = None
    """Of the keys of one project; None: of all."""

    def spans(self, bucket: Bucket) -> list[tuple[str, int, int]]:
        """The rollups to read: days where whole ones count, hours at ragged ends."""
        start, end = _up(self.start_ms, HOUR_MS), _up(self.end_ms, HOUR_MS)
        first, last = _up(start, DAY_MS), end - end % DAY_MS
        if bucket == "hour" or first >= last:
            return [("hour", start, end)]
        return [("hour", start, first), ("day", first, last), ("hour", last, end)]


@dataclass(frozen=True, slots=True)
class Member:
    """Whose use it is, among its group; a key has its id beside its name."""

    name: str | None = None
    key_hash: str | None = None


Series = dict[tuple[int, Member], Use]
"""Use by (its bucket's start in epoch ms, member)."""


async def series(
    connection: AsyncConnection,
    window: Window,
    bucket: Bucket,
    group_by: Group | None,
    most_rows: int = MOST_ROWS,
) -> Series:
    """Use in the order of buckets, and of names within."""
    if bucket == "hour" and window.end_ms - window.start_ms > MOST_HOURS * HOUR_MS:
        raise _too_much("by the hour at most ten years can be told")
    # A month is summed up from its days.
    most_read = most_rows * (10 if bucket == "month" else 1)
    wanted = _grouped(window, bucket, group_by).limit(most_read + 1)
    rows = (await connection.execute(wanted)).mappings().all()
    used: Series = {}
    for row in rows:
        start = int(row["start"])
        at = period_start("month", start) if bucket == "month" else start
        used.setdefault((at, _member(row, group_by)), Use()).add(Use.of(row))
    if len(rows) > most_read or len(used) > most_rows:
        raise _too_much(f"it comes to more than {most_rows} rows")
    return dict(sorted(used.items(), key=_place))


Measure = Literal["requests", "characters", "cost", "audio", "errors", "fallbacks", "cache_hits"]
_SUMS: dict[Measure, str] = {"cost": "cost_nano", "audio": "audio_ms"}


async def leading(
    connection: AsyncConnection, window: Window, group_by: Group, by: Measure | None, most_rows: int
) -> dict[Member, Use]:
    """Who used the most of something, each with all of its use in the window.

    by: None for the first by name.
    """
    named = ["name"] if group_by == "key" else []
    most: list[ColumnElement[Any]] = [] if by is None else [desc(_SUMS.get(by, by))]
    ordered = _grouped(window, None, group_by).order_by(*most, *named, "member")
    wanted = ordered.limit(most_rows)
    rows = (await connection.execute(wanted)).mappings().all()
    return {_member(row, group_by): Use.of(row) for row in rows}


async def unknown_nano(connection: AsyncConnection, window: Window) -> int:
    """Money of requests whose end nobody saw, which counts as spent until it is judged."""
    found = await connection.execute(unknown_in(window))
    return int(found.scalar_one())


def unknown_in(window: Window) -> Select[Any]:
    """Written so that both databases read the few that have not ended, and no others."""
    wanted = select(func.coalesce(func.sum(generation.c.cost_nano), 0)).where(
        generation.c.id.in_(unended("unknown")),
        generation.c.status == "unknown",
        generation.c.at_ms >= _up(window.start_ms, HOUR_MS),
        generation.c.at_ms < _up(window.end_ms, HOUR_MS),
    )
    if window.key_hash is not None:
        wanted = wanted.where(generation.c.key_hash.concat("") == window.key_hash)
    if window.project is not None:
        wanted = wanted.join(api_key).where(api_key.c.project == window.project)
    return wanted


def _too_much(told: str) -> InvalidRequest:
    told = f"from: {told}; ask for a shorter time or a wider bucket (hour, day, month)"
    return InvalidRequest(told, param="from")


def _grouped(window: Window, bucket: Bucket | None, group_by: Group | None) -> Select[Any]:
    """bucket: None for the whole window in one."""
    summed = union_all(
        *(_summed(span, window, bucket, group_by) for span in window.spans(bucket or "day"))
    ).subquery()
    width = HOUR_MS if bucket == "hour" else DAY_MS
    by: list[ColumnElement[Any]] = []
    if bucket is not None:
        by.append((summed.c.start - summed.c.start % width).label("start"))
    if group_by is not None:
        told = api_key.c.project if group_by == "project" else summed.c.member
        by.append(told.label("member"))
    if group_by == "key":
        by.append(api_key.c.name.label("name"))
    sums = (func.sum(summed.c[name]).label(name) for name in Use.__slots__)
    wanted = select(*by, *sums).group_by(*by)
    if group_by in {"key", "project"}:
        wanted = wanted.join_from(summed, api_key, summed.c.member == api_key.c.hash)
    return wanted


def _summed(
    span: tuple[str, int, int], window: Window, bucket: Bucket | None, group_by: Group | None
) -> Select[Any]:
    """One span's use, in the order in which the primary key leads through it.

    Keys get their names and projects once they are summed up, which leaves far fewer rows.
    """
    width, start, end = span
    by: list[ColumnElement[Any]] = [] if bucket is None else [rollup.c.start_ms]
    told = [each.label("start") for each in by]
    if group_by is not None:
        by.append(_GROUPS[group_by])
        told.append(_GROUPS[group_by].label("member"))
    sums = (func.sum(rollup.c[name]).label(name) for name in Use.__slots__)
    wanted = (
        select(*told, *sums)
        .where(rollup.c.width == width, rollup.c.start_ms >= start, rollup.c.start_ms < end)
        .group_by(*by)
    )
    if window.key_hash is not None:
        wanted = wanted.where(rollup.c.key_hash == window.key_hash)
    if window.project is not None:
        wanted = wanted.where(rollup.c.key_hash.in_(hashes_of(window.project)))
    return wanted


def hashes_of(project: str) -> Select[tuple[str]]:
    """A project's keys, by which an index leads to their use alone."""
    return select(api_key.c.hash).where(api_key.c.project == project)


def _member(row: RowMapping, group_by: Group | None) -> Member:
    if group_by is None:
        return Member()
    if group_by == "key":
        return Member(row["name"], row["member"])
    return Member(row["member"] or None)


def _place(row: tuple[tuple[int, Member], Use]) -> tuple[int, str, str]:
    (start, member), _ = row
    return start, member.name or "", member.key_hash or ""


def _up(at_ms: int, width: int) -> int:
    return -(-at_ms // width) * width


# Keys.


@dataclass(frozen=True, slots=True)
class Spent:
    """One key's spending in the running periods, and when it was last used."""

    last_used_ms: int | None = None
    day_nano: int = 0
    week_nano: int = 0
    month_nano: int = 0


async def spent_since(connection: AsyncConnection, hashes: Sequence[str]) -> dict[str, Spent]:
    """Each key's cost in nano-USD this UTC day, week (from Monday) and month."""
    starts = period_starts(datetime.now(UTC))
    sums = [
        func.coalesce(func.sum(case((rollup.c.start_ms >= start, rollup.c.cost_nano), else_=0)), 0)
        for start in starts
    ]
    lately = and_(
        rollup.c.key_hash == api_key.c.hash,
        rollup.c.width == "day",
        rollup.c.start_ms >= min(starts),
    )
    last = select(func.max(generation.c.at_ms)).where(generation.c.key_hash == api_key.c.hash)
    rows = await connection.execute(
        select(api_key.c.hash, last.scalar_subquery(), *sums)
        .join_from(api_key, rollup, lately, isouter=True)
        .where(api_key.c.hash.in_(hashes))
        .group_by(api_key.c.hash)
    )
    return {row[0]: Spent(row[1], int(row[2]), int(row[3]), int(row[4])) for row in rows}


def period_starts(now: datetime) -> tuple[int, int, int]:
    """Epoch ms at which the UTC day, week (Monday) and month of `now` began."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - timedelta(days=day.weekday())
    return (_ms(day), _ms(week), _ms(day.replace(day=1)))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

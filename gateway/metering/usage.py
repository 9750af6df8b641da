"""What has been used, as the rollups tell it: in series, and in a page's summary.

Requests that are still held are not in it; they are counted when they end.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    FromClause,
    RowMapping,
    Select,
    String,
    cast,
    desc,
    func,
    null,
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
_NOT_TOLD: dict[str, ColumnElement[Any]] = {
    "start": cast(null(), BigInteger),
    "name": cast(null(), String),
    "key_hash": cast(null(), String),
}
"""The columns of an answer by which it is not split."""


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
    read = _read(window, bucket, group_by).subquery()
    wanted = _split(read, bucket, group_by).limit(most_read + 1)
    rows = (await connection.execute(wanted)).mappings().all()
    used: Series = {}
    for row in rows:
        place = (_begin(row, bucket), _member(row, group_by))
        used.setdefault(place, Use()).add(Use.of(row))
    if len(rows) > most_read or len(used) > most_rows:
        raise _too_much(f"it comes to more than {most_rows} rows")
    return dict(sorted(used.items(), key=_place))


Measure = Literal["requests", "characters", "cost", "audio", "errors", "fallbacks", "cache_hits"]
_SUMS: dict[Measure, str] = {"cost": "cost_nano", "audio": "audio_ms"}


@dataclass(frozen=True, slots=True)
class Summary:
    """All use of a window, and whose it was most."""

    steps: dict[int, Use]
    """By bucket, from its start in epoch ms; one without use is absent."""
    members: dict[Member, Use]
    """Who used the most of something, each with all of its use in the window."""


async def summary(  # noqa: PLR0913, PLR0917  # what a page asks for
    connection: AsyncConnection,
    window: Window,
    bucket: Bucket,
    group_by: Group,
    by: Measure | None,
    most_members: int,
) -> Summary:
    """Days are read once for both; steps of hours need a reading of their own.

    by: what members used the most of; None for the first by name.
    """
    days = _read(window, "day", group_by).cte("days")
    timed = _read(window, "hour", None).cte("hours") if bucket == "hour" else days
    most: list[ColumnElement[Any] | str] = [] if by is None else [desc(_SUMS.get(by, by))]
    in_order = [*most, "name", "key_hash"]
    whose = select(days.c.member, *_sums(days)).group_by(days.c.member).subquery()
    members = _split(whose, None, group_by).order_by(*in_order).limit(most_members)
    wanted = union_all(_split(timed, bucket, None), select(members.subquery()))
    rows = await connection.execute(wanted.order_by(*in_order))
    found = Summary({}, {})
    for row in rows.mappings():
        if row["start"] is None:
            found.members[_member(row, group_by)] = Use.of(row)
        else:
            found.steps.setdefault(_begin(row, bucket), Use()).add(Use.of(row))
    return found


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


def _read(window: Window, bucket: Bucket, group_by: Group | None) -> CompoundSelect[Any]:
    """Use by start and member, as far as it is summed up while the rollups are read."""
    return union_all(*(_summed(span, window, group_by) for span in window.spans(bucket)))


def _summed(span: tuple[str, int, int], window: Window, group_by: Group | None) -> Select[Any]:
    """One span's use, in the order in which the primary key leads through it.

    Keys get their names and projects once they are summed up, which leaves far fewer rows.
    """
    width, start, end = span
    by: dict[str, ColumnElement[Any]] = {"start": rollup.c.start_ms}
    if group_by is not None:
        by["member"] = _GROUPS[group_by]
    wanted = (
        select(*(column.label(name) for name, column in by.items()), *_sums(rollup))
        .where(rollup.c.width == width, rollup.c.start_ms >= start, rollup.c.start_ms < end)
        .group_by(*by.values())
    )
    if window.key_hash is not None:
        wanted = wanted.where(rollup.c.key_hash == window.key_hash)
    if window.project is not None:
        wanted = wanted.where(rollup.c.key_hash.in_(hashes_of(window.project)))
    return wanted


def _split(read: FromClause, bucket: Bucket | None, group_by: Group | None) -> Select[Any]:
    """What was read by bucket, by member or by both; a month is left in its days."""
    by: dict[str, ColumnElement[Any]] = {}
    if bucket is not None:
        width = HOUR_MS if bucket == "hour" else DAY_MS
        by["start"] = read.c.start - read.c.start % width
    if group_by == "key":
        by |= {"name": api_key.c.name, "key_hash": read.c.member}
    elif group_by is not None:
        by["name"] = api_key.c.project if group_by == "project" else read.c.member
    told = _NOT_TOLD | by
    wanted = select(*(column.label(name) for name, column in told.items()), *_sums(read))
    if group_by in {"key", "project"}:
        wanted = wanted.join_from(read, api_key, read.c.member == api_key.c.hash)
    return wanted.group_by(*by.values())


def _sums(of: FromClause) -> list[ColumnElement[Any]]:
    return [func.sum(of.c[name]).label(name) for name in Use.__slots__]


def hashes_of(project: str) -> Select[tuple[str]]:
    """A project's keys, by which an index leads to their use alone."""
    return select(api_key.c.hash).where(api_key.c.project == project)


def _begin(row: RowMapping, bucket: Bucket) -> int:
    start = int(row["start"])
    return period_start("month", start) if bucket == "month" else start


def _member(row: RowMapping, group_by: Group | None) -> Member:
    return Member(row["name"] if group_by == "key" else row["name"] or None, row["key_hash"])


def _place(row: tuple[tuple[int, Member], Use]) -> tuple[int, str, str]:
    (start, member), _ = row
    return start, member.name or "", member.key_hash or ""


def _up(at_ms: int, width: int) -> int:
    return -(-at_ms // width) * width

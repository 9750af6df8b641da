"""Searching: the log of requests, newest first, by what a visitor looks for.

No search reads more of the log than it must. An index leads through the rows from the newest on, in
windows that grow; what the index does not decide is looked at within them. A page is told once it
is full, or with the place to go on from once it took too long.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import Column, ColumnElement, RowMapping, Select, and_, or_, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity import first_id, generation_of
from gateway.metering.unended import unended
from gateway.tables import api_key, generation
from gateway.tables.generations import (
    BROUGHT_REQUEST,
    BROUGHT_TRACE,
    FAILED,
    FALLEN_BACK,
)

Status = Literal["held", "settled", "voided", "unknown"]
STATUSES: tuple[Status, ...] = get_args(Status)
FIRST_WINDOW, LARGEST_WINDOW, GROWTH = 500, 1000, 2
"""Rows that are looked at together, at first and later."""
MOST_NAMED = 16_000
"""Rows of one id that are looked at."""
PATIENCE_SECONDS = 0.1
"""After so long a page is told as far as it came."""
MOST_KEYS = 20
"""Keys of one name."""
SHORTEST_HASH = 8
_g = generation.c
# Rows of `generation` as lists show them: all but what is long.
_COLUMNS = [
    _g[name]
    for name in (
        "id",
        "created_ms",
        "key_hash",
        "project",
        "status",
        "requested_model",
        "model",
        "provider",
        "error_type",
        "http_status",
        "app",
        "characters",
        "cost_nano",
        "first_audio_ms",
        "duration_ms",
        "audio_ms",
        "fallbacks",
        "flags",
    )
]
_NAMED: tuple[tuple[Column[str], Any], ...] = (
    (_g.request_id, text(BROUGHT_REQUEST)),
    (_g.trace_id, text(BROUGHT_TRACE)),
    (_g.session_id, _g.session_id.is_not(None)),
    (_g.user, _g.user.is_not(None)),
)
"""What free text is compared with, beside the identity, and which rows the index of it has."""
_FAILED = text(FAILED)
_FALLEN_BACK = text(FALLEN_BACK)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None: whatever."""

    of_key: str | None = None
    """Whose records may be seen: of one key,"""
    of_project: str | None = None
    """or of one project."""
    start_ms: int | None = None
    end_ms: int | None = None
    keys: tuple[str, ...] | None = None
    model: str | None = None
    provider: str | None = None
    status: Status | None = None
    error_type: str | None = None
    app: str | None = None
    named: str | None = None
    """A whole id: of a generation, request, trace, session or user."""
    failed: bool = False
    fallen_back: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and whether there may be more behind the id that the search came to."""

    rows: Sequence[RowMapping]
    after: str | None = None
    """None: that is all."""
    is_cut: bool = False
    """Whether it took too long to fill the page."""


@dataclass(slots=True)
class _Progress:
    rows: list[RowMapping] = field(default_factory=list)
    after: str | None = None


async def search(
    connection: AsyncConnection,
    wanted: Wanted,
    after: str | None,
    limit: int,
    patience: float = PATIENCE_SECONDS,
) -> Page:
    """A page of what is wanted, from behind `after`."""
    if wanted.named is not None:
        return await _search_named(connection, wanted, after, limit)
    so_far, began, window = _Progress(after=after), time.monotonic(), FIRST_WINDOW
    ends = began + patience
    while True:
        is_end = await _look(connection, wanted, so_far, window, limit)
        if is_end or len(so_far.rows) > limit:
            return _page(so_far.rows, limit)
        now = time.monotonic()
        if now >= ends:
            return Page(so_far.rows, so_far.after, is_cut=True)
        window, began = _next_window(window, now - began, ends - now), now


def _next_window(last: int, took: float, left: float) -> int:
    """As much as the time that is left is good for, going by the last one."""
    wanted = min(LARGEST_WINDOW, last * GROWTH, round(last * left / max(took, 1e-6)))
    return max(FIRST_WINDOW, wanted)


async def _look(
    connection: AsyncConnection, wanted: Wanted, so_far: _Progress, window: int, limit: int
) -> bool:
    """Look through one window; whether it was the last one."""
    leading = _window(_leads(wanted), wanted, so_far.after, window).subquery()
    still = limit + 1 - len(so_far.rows)
    found = await connection.execute(
        select(leading)
        .where(*_conditions(wanted, leading.c))
        .order_by(leading.c.id.desc())
        .limit(still)
    )
    so_far.rows += found.mappings().all()
    if len(so_far.rows) > limit:
        return False
    last = select(_g.id).where(*_leads(wanted), *_between(wanted, so_far.after))
    last = last.order_by(_g.id.desc()).offset(window - 1).limit(1)
    so_far.after = (await connection.execute(last)).scalar_one_or_none()
    return so_far.after is None


async def _search_named(
    connection: AsyncConnection, wanted: Wanted, after: str | None, limit: int
) -> Page:
    """By an id of any kind: the identity in one of its writings, or by an index of its own."""
    named = wanted.named or ""
    leads = [[_g.id == (generation_of(named) or named)]]
    leads += [[column == named, has_it] for column, has_it in _NAMED]
    ways = [select(_window(lead, wanted, after, MOST_NAMED).subquery()) for lead in leads]
    found = union(*ways).subquery()
    rows = await connection.execute(
        select(found)
        .where(*_conditions(wanted, found.c))
        .order_by(found.c.id.desc())
        .limit(limit + 1)
    )
    return _page(rows.mappings().all(), limit)


def _page(rows: Sequence[RowMapping], limit: int) -> Page:
    more = len(rows) > limit
    return Page(rows[:limit], rows[limit - 1]["id"] if more else None)


def _window(
    leads: Sequence[Any], wanted: Wanted, after: str | None, most: int
) -> Select[tuple[Any, ...]]:
    places = _between(wanted, after)
    return select(*_COLUMNS).where(*leads, *places).order_by(_g.id.desc()).limit(most)


def _between(wanted: Wanted, after: str | None) -> list[ColumnElement[bool]]:
    """Ids begin with their time."""
    places = [] if after is None else [_g.id < after]
    if wanted.start_ms is not None:
        places.append(_g.id >= first_id(wanted.start_ms))
    if wanted.end_ms is not None:
        places.append(_g.id < first_id(wanted.end_ms))
    return places


def _leads(wanted: Wanted) -> list[Any]:  # noqa: PLR0911  # one an index
    """What one index decides: the one that leaves the least to look through."""
    if wanted.status == "held" or wanted.status == "unknown":  # noqa: PLR1714  # mypy narrows by it
        return [_g.id.in_(unended(wanted.status))]
    if wanted.of_key is not None:
        return [_g.key_hash == wanted.of_key]
    if wanted.keys is not None and len(wanted.keys) == 1:
        return [_g.key_hash == wanted.keys[0]]
    if wanted.error_type is not None:
        return [_g.error_type == wanted.error_type]
    if wanted.fallen_back:
        return [_FALLEN_BACK]
    if wanted.failed:
        return [_FAILED]
    return [] if wanted.of_project is None else [_g.project == wanted.of_project]


def _conditions(wanted: Wanted, row: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401  # a subquery's columns
    """All that a row must meet, whatever led to it."""
    equal = {
        "key_hash": wanted.of_key,
        "project": wanted.of_project,
        "provider": wanted.provider,
        "status": wanted.status,
        "error_type": wanted.error_type,
        "app": wanted.app,
    }
    told = [row[name] == value for name, value in equal.items() if value is not None]
    if wanted.keys is not None:
        told.append(row.key_hash.in_(wanted.keys))
    if wanted.model is not None:
        asked = and_(row.model.is_(None), row.requested_model == wanted.model)
        told.append(or_(row.model == wanted.model, asked))
    if wanted.failed:
        told.append(row.error_type.is_not(None))
    if wanted.fallen_back:
        told.append(row.fallbacks > 0)
    return told


# Keys.


async def keys_named(connection: AsyncConnection, which: str) -> tuple[str, ...]:
    """Keys by their name, or by the beginning of their id."""
    same = select(api_key.c.hash).where(api_key.c.name == which).limit(MOST_KEYS)
    found = [*(await connection.execute(same)).scalars()]
    if len(which) >= SHORTEST_HASH and set(which) <= set("0123456789abcdef"):
        begins = and_(api_key.c.hash >= which, api_key.c.hash < which + "g")
        more = select(api_key.c.hash).where(begins).limit(MOST_KEYS)
        found += (await connection.execute(more)).scalars()
    return tuple(dict.fromkeys(found))


async def names_of(connection: AsyncConnection, hashes: Sequence[str]) -> dict[str, str]:
    """The names of keys by their ids."""
    wanted = select(api_key.c.hash, api_key.c.name).where(api_key.c.hash.in_(set(hashes)))
    return {row.hash: row.name for row in await connection.execute(wanted)}

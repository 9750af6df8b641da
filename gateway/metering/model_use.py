"""Use of models over the last days, from the rollups of days: of all in one sum, of one in detail.

Whose use counts is a key, a project, or everybody's: `Caller.sees`, as key and project.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    RowMapping,
    Select,
    and_,
    cast,
    func,
    null,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metering.scopes import DAY_MS
from gateway.metering.usage import Use, hashes_of
from gateway.tables import rollup

DAYS = 30
MOST_APPS = 10
Sees = tuple[str | None, str | None]
_SUMS = tuple(func.sum(rollup.c[name]).label(name) for name in Use.__slots__)
_SPOKEN = tuple(func.sum(rollup.c[name]).label(name) for name in ("requests", "characters"))
"""What is told of many; a sum over all keys costs as much as it has columns."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One model's last days, today the last of them."""

    days: tuple[tuple[int, Use], ...]
    """Each UTC day by its start in epoch ms, those without use too."""
    apps: tuple[tuple[str, Use], ...]
    """Those that used it most, by characters; the name is empty where a request named no app."""
    total: Use


async def use_by_model(connection: AsyncConnection, sees: Sees) -> Mapping[str, Use]:
    """Each model's requests and characters in the last thirty days, today included."""
    wanted = _seen(select(rollup.c.model, *_SPOKEN), sees).group_by(rollup.c.model)
    rows = (await connection.execute(wanted)).mappings().all()
    return {row["model"]: _spoken(row) for row in rows}


async def use_of_model(connection: AsyncConnection, model: str, sees: Sees) -> ModelUse:
    found: dict[int, Use] = {}
    apps: list[tuple[str, Use]] = []
    for row in (await connection.execute(_of_model(model, sees))).mappings():
        if row["start_ms"] is None:
            apps.append((row["app"], Use.of(row)))
        else:
            found[row["start_ms"]] = Use.of(row)
    total = Use()
    for use in found.values():
        total.add(use)
    first = _first_day()
    days = tuple((at, found.get(at, Use())) for at in range(first, first + DAYS * DAY_MS, DAY_MS))
    return ModelUse(days, tuple(sorted(apps, key=lambda app: (-app[1].characters, app[0]))), total)


def _of_model(model: str, sees: Sees) -> CompoundSelect[Any]:
    """Its days and its first apps, of rows that are read once for both."""
    rows = _seen(select(rollup.c.start_ms, rollup.c.app, *_SUMS), sees)
    used = rows.where(rollup.c.model == model).group_by(rollup.c.start_ms, rollup.c.app).cte("used")
    sums = [func.sum(used.c[name]).label(name) for name in Use.__slots__]
    by_day = select(used.c.start_ms, null().label("app"), *sums).group_by(used.c.start_ms)
    by_app = select(cast(null(), BigInteger).label("start_ms"), used.c.app, *sums)
    most = func.sum(used.c.characters).desc()
    first = by_app.group_by(used.c.app).order_by(most, used.c.app).limit(MOST_APPS)
    return union_all(by_day, select(first.subquery()))


def _seen(wanted: Select[Any], sees: Sees) -> Select[Any]:
    key_hash, project = sees
    wanted = wanted.where(and_(rollup.c.width == "day", rollup.c.start_ms >= _first_day()))
    if key_hash is not None:
        wanted = wanted.where(rollup.c.key_hash == key_hash)
    if project is not None:
        wanted = wanted.where(rollup.c.key_hash.in_(hashes_of(project)))
    return wanted


def _spoken(row: RowMapping) -> Use:
    return Use(requests=int(row["requests"]), characters=int(row["characters"]))


def _first_day() -> int:
    now = int(time.time() * 1000)
    return now - now % DAY_MS - (DAYS - 1) * DAY_MS

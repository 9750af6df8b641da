"""Use of models over the last days, from the rollups of days: of all in one sum, of one in detail.

Whose use counts is a key, a project, or everybody's: `Caller.sees`, as key and project.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, and_, func, select
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
    of_it = rollup.c.model == model
    by_day = _seen(select(rollup.c.start_ms, *_SUMS), sees).where(of_it).group_by(rollup.c.start_ms)
    found = {
        row["start_ms"]: Use.of(row) for row in (await connection.execute(by_day)).mappings().all()
    }
    by_app = (
        _seen(select(rollup.c.app, *_SPOKEN), sees)
        .where(of_it)
        .group_by(rollup.c.app)
        .order_by(func.sum(rollup.c.characters).desc(), rollup.c.app)
        .limit(MOST_APPS)
    )
    apps = (await connection.execute(by_app)).mappings().all()
    total = Use()
    for use in found.values():
        total.add(use)
    first = _first_day()
    days = tuple((at, found.get(at, Use())) for at in range(first, first + DAYS * DAY_MS, DAY_MS))
    return ModelUse(days, tuple((row["app"], _spoken(row)) for row in apps), total)


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

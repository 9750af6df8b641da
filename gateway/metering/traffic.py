"""Traffic: which offers were asked in the last day, which of them first, and how that ended."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity import first_id
from gateway.metering.scopes import DAY_MS, HOUR_MS
from gateway.tables import attempt, generation


@dataclass(slots=True)
class Traffic:
    """One offer's attempts of the last day."""

    attempts: int = 0
    first_hour: int = 0
    """First attempts of their requests, in the last hour."""
    first_day: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By class."""


async def traffic(
    connection: AsyncConnection, sees: tuple[str | None, str | None]
) -> Mapping[str, Traffic]:
    """By the offer's full name, of a key, a project or all (`Caller.sees`)."""
    now = int(time.time() * 1000)
    rows = (await connection.execute(_wanted(now, sees))).mappings().all()
    found: dict[str, Traffic] = {}
    for row in rows:
        offer = found.setdefault(f"{row['provider']}:{row['model']}", Traffic())
        offer.attempts += row["made"]
        if row["kind"] == "first":
            offer.first_day += row["made"]
            offer.first_hour += int(row["lately"])
        if row["outcome"] == "failed":
            offer.failures[row["error_type"] or "unknown"] += row["made"]
    return found


def _wanted(now: int, sees: tuple[str | None, str | None]) -> Select[Any]:
    key_hash, project = sees
    by = (
        attempt.c.provider,
        attempt.c.model,
        attempt.c.kind,
        attempt.c.outcome,
        attempt.c.error_type,
    )
    lately = func.sum(case((_since(now - HOUR_MS), 1), else_=0)).label("lately")
    wanted = select(*by, func.count().label("made"), lately).where(_since(now - DAY_MS))
    if key_hash is not None or project is not None:
        wanted = wanted.join_from(attempt, generation, attempt.c.generation_id == generation.c.id)
    if key_hash is not None:
        wanted = wanted.where(generation.c.key_hash == key_hash)
    if project is not None:
        wanted = wanted.where(generation.c.project == project)
    return wanted.group_by(*by)


def _since(at_ms: int) -> ColumnElement[bool]:
    """Ids sort by time, so that the primary key finds a span of it."""
    return attempt.c.generation_id >= first_id(at_ms)

"""Exposure: the money of requests that have not ended, over all gateways on this database."""

import time
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.metering.unended import unended
from gateway.tables import generation

_QUERY = (
    select(
        generation.c.status,
        func.count().label("requests"),
        func.sum(generation.c.hold_nano).label("hold_nano"),
        func.sum(generation.c.cost_nano).label("cost_nano"),
        func.min(generation.c.at_ms).label("oldest_ms"),
    )
    .where(generation.c.id.in_(unended()))
    .group_by(generation.c.status)
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is held, and what is unknown; money in nano-USD."""

    held: int = 0
    held_nano: int = 0
    oldest_seconds: float = 0.0
    unknown: int = 0
    unknown_nano: int = 0


async def read_exposure(engine: AsyncEngine) -> Exposure:
    async with engine.connect() as connection:
        rows = {row.status: row for row in (await connection.execute(_QUERY)).all()}
    held, unknown = rows.get("held"), rows.get("unknown")
    return Exposure(
        held=held.requests if held else 0,
        held_nano=int(held.hold_nano) if held else 0,
        oldest_seconds=max(0.0, time.time() - held.oldest_ms / 1000) if held else 0.0,
        unknown=unknown.requests if unknown else 0,
        unknown_nano=int(unknown.cost_nano) if unknown else 0,
    )

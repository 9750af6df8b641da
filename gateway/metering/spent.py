"""What keys spent in the running day, week and month, from the rollups of days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metering.scopes import DAY_MS
from gateway.tables import api_key, generation, rollup


@dataclass(frozen=True, slots=True)
class Spent:
    """One key's spending in the running periods, and when it was last used."""

    last_used_ms: int | None = None
    day_nano: int = 0
    week_nano: int = 0
    month_nano: int = 0


async def spent_since(connection: AsyncConnection, hashes: Sequence[str]) -> dict[str, Spent]:
    """Each key's cost in nano-USD this UTC day, week (from Monday) and month.

    Days are told one by one: so each is found by the rollups' key, on SQLite too.
    """
    starts = period_starts(datetime.now(UTC))
    sums = [
        func.coalesce(func.sum(case((rollup.c.start_ms >= start, rollup.c.cost_nano), else_=0)), 0)
        for start in starts
    ]
    lately = and_(
        rollup.c.key_hash == api_key.c.hash,
        rollup.c.width == "day",
        rollup.c.start_ms.in_(range(min(starts), starts[0] + 1, DAY_MS)),
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

"""Spending in OpenRouter's terms: what was bought and used in all, and each day's activity."""

from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metering.scopes import GLOBAL, organisation_scope, scope_of
from gateway.metering.usage import Use
from gateway.tables import balance, budget, organisation, rollup


@dataclass(frozen=True, slots=True)
class Credits:
    """Nano-USD that may be spent in all, and that were."""

    total_nano: int
    used_nano: int


@dataclass(frozen=True, slots=True)
class Activity:
    """A day's use of one model at one provider; either is empty where none spoke."""

    start_ms: int
    model: str
    provider: str
    use: Use


async def credits_of(connection: AsyncConnection, key_hash: str | None) -> Credits:
    """One key's, by its own limit; or everybody's. Where nothing limits, what was used."""
    its = (
        balance.c.scope.like("key:%") if key_hash is None else balance.c.scope == scope_of(key_hash)
    )
    posted = select(func.coalesce(func.sum(balance.c.posted_nano), 0)).where(
        its, balance.c.period == "total"
    )
    used = int((await connection.execute(posted)).scalar_one())
    limits = await _limits(connection, key_hash)
    return Credits(min(limits, default=used), used)


async def _limits(connection: AsyncConnection, key_hash: str | None) -> list[int]:
    """Over a whole life: a key's own, or those that bind everybody together."""
    rows = await connection.execute(
        select(budget.c.scope, budget.c.limit_nano)
        .where(budget.c.period == "total", budget.c.limit_nano.is_not(None))
        .where(
            budget.c.scope == scope_of(key_hash)
            if key_hash is not None
            else or_(budget.c.scope == GLOBAL, budget.c.scope.like("organisation:%"))
        )
    )
    found: dict[str, int] = {row[0]: row[1] for row in rows}
    if key_hash is not None:
        return list(found.values())
    limits = [found[GLOBAL]] if GLOBAL in found else []
    everybody = (await connection.execute(select(organisation.c.id))).scalars().all()
    theirs = [found.get(organisation_scope(each)) for each in everybody]
    # One organisation without a limit leaves all of them together without one.
    known = [each for each in theirs if each is not None]
    return [*limits, sum(known)] if theirs and len(known) == len(theirs) else limits


async def activity_of(
    connection: AsyncConnection, start_ms: int, end_ms: int, key_hash: str | None
) -> list[Activity]:
    """Days' use by model and provider, newest day first."""
    names = (rollup.c.start_ms, rollup.c.model, rollup.c.provider)
    days = and_(rollup.c.width == "day", rollup.c.start_ms >= start_ms, rollup.c.start_ms < end_ms)
    wanted = (
        select(*names, *(func.sum(rollup.c[name]).label(name) for name in Use.__slots__))
        .where(days)
        .group_by(*names)
        .order_by(rollup.c.start_ms.desc(), rollup.c.model, rollup.c.provider)
    )
    if key_hash is not None:
        wanted = wanted.where(rollup.c.key_hash == key_hash)
    rows = (await connection.execute(wanted)).mappings().all()
    return [Activity(row["start_ms"], row["model"], row["provider"], Use.of(row)) for row in rows]

"""Records: one generation with its attempts and the prices that they were made at.

An id with a NUL is nobody's, and PostgreSQL does not even let one ask: it is not asked.
"""

from collections.abc import Sequence

from sqlalchemy import RowMapping, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.tables import attempt, generation, price


async def generation_record(
    connection: AsyncConnection, generation_id: str
) -> tuple[RowMapping, Sequence[RowMapping]] | None:
    """One generation and its attempts in order, each with `terms` from the price book."""
    if not generation_id.isprintable():
        return None
    wanted = select(generation).where(generation.c.id == generation_id)
    row = (await connection.execute(wanted)).mappings().one_or_none()
    if row is None:
        return None
    its_price = and_(
        price.c.version == attempt.c.price,
        price.c.offer == attempt.c.provider + ":" + attempt.c.model,
    )
    attempts = await connection.execute(
        select(attempt, price.c.terms)
        .join_from(attempt, price, its_price, isouter=True)
        .where(attempt.c.generation_id == generation_id)
        .order_by(attempt.c.seq)
    )
    return row, attempts.mappings().all()


async def owner_of(connection: AsyncConnection, generation_id: str) -> tuple[str, str] | None:
    """The key and the project of a generation."""
    if not generation_id.isprintable():
        return None
    wanted = select(generation.c.key_hash, generation.c.project)
    row = (await connection.execute(wanted.where(generation.c.id == generation_id))).one_or_none()
    return None if row is None else (row.key_hash, row.project)


async def generation_ids(
    connection: AsyncConnection,
    key_hash: str | None,
    after: str | None,
    limit: int,
    *,
    project: str | None = None,
) -> list[str]:
    """Ids of a key, a project or all, newest first, from behind `after`. Ids sort by time."""
    if after is not None and not after.isprintable():
        return []
    wanted = select(generation.c.id).order_by(generation.c.id.desc()).limit(limit)
    if key_hash is not None:
        wanted = wanted.where(generation.c.key_hash == key_hash)
    if project is not None:
        wanted = wanted.where(generation.c.project == project)
    if after is not None:
        wanted = wanted.where(generation.c.id < after)
    return list((await connection.execute(wanted)).scalars())

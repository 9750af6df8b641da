"""Earlier generations, as the turns of a conversation name them: who spoke them, as what."""

import asyncio
import time
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import MeteringUnavailable
from gateway.metering.claims import GLANCE_SECONDS, PATIENCE_SECONDS, SETTLING_SECONDS
from gateway.tables import generation


class Earlier(NamedTuple):
    """A generation; what is not known of it, or not yet, is None."""

    id: str
    status: str
    provider: str | None
    voice: str | None
    upstream_id: str | None


async def find_earlier(
    reading: AsyncEngine, key_hash: str, ids: Collection[str]
) -> dict[str, Earlier]:
    """Those of the ids that are this key's.

    One that has just been heard to its end is written down a moment later, which is waited for;
    of one that still runs, nothing is known but that it is there.
    """
    until = time.monotonic() + SETTLING_SECONDS
    # PostgreSQL does not let one ask for a NUL.
    asked = [each for each in ids if each.isprintable()]
    while True:
        found = await _found(reading, key_hash, asked)
        is_open = any(each.status == "held" for each in found.values())
        if not is_open or time.monotonic() >= until:
            return found
        await asyncio.sleep(GLANCE_SECONDS)


async def _found(reading: AsyncEngine, key_hash: str, ids: Collection[str]) -> dict[str, Earlier]:
    wanted = select(*(generation.c[name] for name in Earlier._fields)).where(
        generation.c.key_hash == key_hash, generation.c.id.in_(ids)
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), reading.connect() as connection:
            rows = (await connection.execute(wanted)).all()
    except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
        raise MeteringUnavailable("the ledger does not answer", retry_after=2) from None
    return {row.id: Earlier(*row) for row in rows}

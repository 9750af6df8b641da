"""Claims, read at the door: what an Idempotency-Key already stands for, before anything is planned.

The hold decides again inside its transaction, so what is read here only saves the way there.
"""

import asyncio
import time

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import Conflict, GatewayError, MeteringUnavailable
from gateway.metering.holding import judge_claim
from gateway.metering.operations import Claim
from gateway.metering.rows import Claimed
from gateway.tables import claim, generation

PATIENCE_SECONDS = 3.0
"""How long the database may take; longer than its own time limit for connecting."""
SETTLING_SECONDS = 0.4
"""A client may come back sooner than its request is settled, which takes a moment after its end."""
GLANCE_SECONDS = 0.05


async def judged(reading: AsyncEngine, key_hash: str, wanted: Claim) -> GatewayError | None:
    """What the claim's earlier request means for this one; None: the key is free."""
    until = time.monotonic() + SETTLING_SECONDS
    while isinstance(refusal := await _judged(reading, key_hash, wanted), Conflict):
        if time.monotonic() >= until:
            break
        await asyncio.sleep(GLANCE_SECONDS)
    return refusal


async def _judged(reading: AsyncEngine, key_hash: str, wanted: Claim) -> GatewayError | None:
    found = (
        select(
            claim.c.id,
            claim.c.generation_id,
            claim.c.fingerprint,
            claim.c.created_ms,
            generation.c.status,
        )
        .join(generation, generation.c.id == claim.c.generation_id)
        .where(claim.c.id == wanted.id(key_hash))
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), reading.connect() as connection:
            row = (await connection.execute(found)).one_or_none()
    except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
        raise MeteringUnavailable("the ledger does not answer", retry_after=2) from None
    if row is None:
        return None
    expired_ms = round(time.time() * 1000) - wanted.lifetime_ms
    return judge_claim(Claimed(*row), wanted.fingerprint, expired_ms)

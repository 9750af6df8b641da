"""Contents: what is kept of a request beside its record, and the entries that it left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.tables import api_key, entry, request_text


@dataclass(frozen=True, slots=True)
class StoredText:
    """A request's text, and until when it is kept."""

    text: str
    expires_ms: int


async def stored_text(connection: AsyncConnection, generation_id: str) -> StoredText | None:
    """None where it is not kept, or no longer."""
    wanted = select(request_text.c.text, request_text.c.expires_ms).where(
        request_text.c.generation_id == generation_id,
        request_text.c.expires_ms > round(time.time() * 1000),
    )
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else StoredText(row.text, row.expires_ms)


async def entries_of(connection: AsyncConnection, generation_id: str) -> Sequence[RowMapping]:
    """Its entries in both ledgers, in the order in which they were written."""
    wanted = (
        select(entry)
        .where(entry.c.generation_id == generation_id)
        .order_by(entry.c.ledger, entry.c.created_ms, entry.c.seq, entry.c.kind)
    )
    return (await connection.execute(wanted)).mappings().all()


async def key_named(connection: AsyncConnection, key_hash: str) -> str:
    """A key's name; deleted keys keep theirs."""
    wanted = select(api_key.c.name).where(api_key.c.hash == key_hash)
    return (await connection.execute(wanted)).scalar_one_or_none() or key_hash

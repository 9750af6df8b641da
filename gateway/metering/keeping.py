"""Keeping: for how long projects have what is kept, and the texts that are kept for longer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import MeteringUnavailable
from gateway.metering.scopes import HOUR_MS
from gateway.metering.statements import TEXTS_AT_ONCE
from gateway.tables import generation, project, request_text


@dataclass(frozen=True, slots=True)
class Hours:
    """How long a project has its requests' text and audio kept; 0: not."""

    text: int
    audio: int


_ENDS_MS = generation.c.at_ms + project.c.keep_text_hours * HOUR_MS
_OVERLONG = (
    select(request_text.c.generation_id, _ENDS_MS)
    .join(generation, generation.c.id == request_text.c.generation_id)
    .join(project, project.c.id == generation.c.project)
    .where(request_text.c.expires_ms > _ENDS_MS)
    .order_by(request_text.c.generation_id)
    .limit(TEXTS_AT_ONCE)
)


class Keeping:
    """Reads both beside the ledger's writer; raises MeteringUnavailable."""

    def __init__(self, reading: AsyncEngine) -> None:
        self._reading = reading

    async def hours(self) -> dict[str, Hours]:
        """Of every project, by its id."""
        wanted = select(project.c.id, project.c.keep_text_hours, project.c.keep_audio_hours)
        async with self._connected() as connection:
            rows = (await connection.execute(wanted)).all()
        return {id_: Hours(text, audio) for id_, text, audio in rows}

    async def overlong(self, after: str) -> list[tuple[str, int]]:
        """Generations whose text has longer, with its end in epoch ms; some hundreds at a time."""
        wanted = _OVERLONG.where(request_text.c.generation_id > after)
        async with self._connected() as connection:
            return [(id_, ends_ms) for id_, ends_ms in (await connection.execute(wanted)).all()]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._reading.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError):
            raise MeteringUnavailable("the ledger does not answer", retry_after=2) from None

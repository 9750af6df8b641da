"""Retention: kept texts go when their time is over, as kept clips do where they lie.

Both go earlier where their project keeps for less time than it did.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping

from gateway.errors import GatewayError
from gateway.kept.clips import SWEEP_SECONDS, Clips
from gateway.metering.keeping import Hours, Keeping
from gateway.metering.operations import ExpireTexts, ShortenTexts
from gateway.metering.scopes import HOUR_MS
from gateway.metering.writer import Writer

log = logging.getLogger(__name__)


class Retention:
    """Runs beside the requests, from start to stop; each replica deletes what it finds."""

    def __init__(
        self, writer: Writer, keeping: Keeping, clips: Clips, seconds: float = SWEEP_SECONDS
    ) -> None:
        self._writer = writer
        self._keeping = keeping
        self._clips = clips
        self._seconds = seconds
        # Two sweeps, for a request that came just before a change is kept just after it.
        self._seen: deque[Mapping[str, Hours] | None] = deque([None], maxlen=2)
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)

    async def sweep(self) -> None:
        """Shorten and delete what is to be; GatewayError where the database is away."""
        await self._shorten()
        while await self._writer.submit(ExpireTexts()):
            pass

    async def _sweep(self) -> None:
        while True:
            try:
                await self.sweep()
            except GatewayError as error:
                log.warning("kept texts cannot be deleted now: %s", error.message)
            await asyncio.sleep(self._seconds)

    async def _shorten(self) -> None:
        hours = await self._keeping.hours()
        if any(earlier is None or is_shorter(hours, earlier) for earlier in self._seen):
            await self._clips.shorten({id_: each.audio * HOUR_MS for id_, each in hours.items()})
            await self._shorten_texts()
        self._seen.append(hours)

    async def _shorten_texts(self) -> None:
        after = ""
        while ends := await self._keeping.overlong(after):
            await self._writer.submit(ShortenTexts(tuple(ends)))
            after, _ = ends[-1]


def is_shorter(hours: Mapping[str, Hours], earlier: Mapping[str, Hours]) -> bool:
    """Whether any project keeps something for less time than it did."""
    both = [(each, earlier[id_]) for id_, each in hours.items() if id_ in earlier]
    return any(now.text < then.text or now.audio < then.audio for now, then in both)

"""Retention: kept texts go when their time is over. Kept clips are swept where they lie."""

import asyncio
import logging

from gateway.errors import GatewayError
from gateway.kept.clips import SWEEP_SECONDS
from gateway.metering.operations import ExpireTexts
from gateway.metering.writer import Writer

log = logging.getLogger(__name__)


class Retention:
    """Runs beside the requests, from start to stop; each replica deletes what it finds."""

    def __init__(self, writer: Writer, seconds: float = SWEEP_SECONDS) -> None:
        self._writer = writer
        self._seconds = seconds
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            try:
                while await self._writer.submit(ExpireTexts()):
                    pass
            except GatewayError as error:
                log.warning("kept texts cannot be deleted now: %s", error.message)
            await asyncio.sleep(self._seconds)

"""Hedging: when a second offer is asked beside one that is late, and how the two race."""

import asyncio
from collections.abc import Coroutine, Iterable

from gateway.dispatch.attempt import Attempt
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.job import Job
from providers import Offer

LONGEST_TEXT = 500
"""Characters; a longer one is too dear to be said twice."""


def may_hedge(job: Job, offer: Offer) -> bool:
    """Whether the request, its task or the offer's row asked for it, and it is worth it."""
    return (
        (offer.hedge if job.hedge is None else job.hedge)
        and not job.in_sentences
        and len(job.speech.text) <= LONGEST_TEXT
        and len(job.plan.choices) > 1
    )


class Race:
    """Attempts beside each other, until one has audio."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._opened = asyncio.get_running_loop().create_future()
        self._tasks: dict[Attempt, asyncio.Task[None]] = {}
        delivery.on_open = self._open

    def start(self, attempt: Attempt, running: Coroutine[None, None, None]) -> None:
        self._tasks[attempt] = asyncio.create_task(running)

    async def is_late(self, seconds: float) -> bool:
        """Whether, after so long, nobody has audio and nobody has failed."""
        waited = {self._opened, *self._tasks.values()}
        done, _ = await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return not done

    @property
    def is_open(self) -> bool:
        return self._opened.done()

    async def end(self) -> None:
        """Break the others off once one has audio, and follow that one; raises how it failed."""
        while not self._opened.done() and (pending := self._pending()):
            await asyncio.wait({self._opened, *pending}, return_when=asyncio.FIRST_COMPLETED)
        speaker = self._delivery.opener
        others = [each for each in self._tasks if speaker and each.found is not speaker]
        await self._break_off(others)
        for attempt, task in self._tasks.items():
            if attempt not in others:
                await task

    async def close(self) -> None:
        self._delivery.on_open = None
        await self._break_off(self._tasks)

    async def _break_off(self, attempts: Iterable[Attempt]) -> None:
        tasks = [self._tasks[each] for each in attempts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pending(self) -> set[asyncio.Task[None]]:
        return {task for task in self._tasks.values() if not task.done()}

    def _open(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

"""Recovery: this gateway shows that it lives, and ends what dead ones left.

Nobody's clock is compared: a gateway is dead when its beat has not moved for a while of ours.
Its holds become `unknown`: the money stays counted, the characters are given back. A gateway that
was only asleep puts them right when it settles after all.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import GatewayError
from gateway.metering.journal import Journal
from gateway.metering.operations import Beat, Closing, Judge, Leave, Lose, Resolve
from gateway.metering.unended import Unended, unended
from gateway.metering.writer import Writer
from gateway.settings import RecoveryRules
from gateway.tables import generation, instance

CHUNK = 500
"""Generations in one transaction."""
MS_PER_HOUR = 3_600_000
ABANDONED = Closing("voided", 503, 0, error_type="abandoned")
"""A hold that came to be after its request had been given up: nobody was ever asked."""
log = logging.getLogger(__name__)


class Watch:
    """Since when each gateway's beat stands still, by our own monotonic clock."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[int | None, float]] = {}

    def dead(self, beats: Mapping[str, int | None], now: float) -> list[str]:
        """Whose beat (None: it has no row) has not moved for as long as our patience."""
        self._seen = {
            name: before
            if (before := self._seen.get(name)) is not None and before[0] == beat
            else (beat, now)
            for name, beat in beats.items()
        }
        return [name for name, (_, at) in self._seen.items() if now - at >= self._patience]


class Recovery:
    """Runs beside the requests, from start to stop."""

    def __init__(
        self,
        writer: Writer,
        reading: AsyncEngine,
        journal: Journal,
        rules: RecoveryRules,
        running: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._writer = writer
        self._reading = reading
        self._journal = journal
        self._rules = rules
        self._running = running
        """The generations that this gateway is at work on."""
        self._others = Watch(rules.dead_seconds)
        self._strays = Watch(rules.dead_seconds)
        self._alone = reading.dialect.name == "sqlite"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Before the first request: the first beat, and what earlier runs left."""
        await self._writer.submit(Beat(self._writer.instance))
        await self._journal.adopt(self._writer)
        if self._alone:  # whoever was here before is gone: the database takes one gateway
            await self.lose(await self._other_owners())
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """After the last request."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._journal.replay(self._writer)
            await self._writer.submit(Leave((self._writer.instance,)))
        except GatewayError as error:
            log.warning("this gateway left without a word: %s", error.message)
        self._journal.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._rules.beat_seconds)
            try:
                await self._journal.replay(self._writer)
                if not self._alone:  # else nobody is there to see it, and each beat is a commit
                    await self._writer.submit(Beat(self._writer.instance))
                await self.sweep(time.monotonic())
                await self.judge()
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("recovery waits for the database: %s", type(error).__name__)

    async def sweep(self, now: float) -> None:
        """Give up what dead gateways hold, and what nobody here remembers."""
        if not self._alone:
            owners = await self._other_owners()
            await self.lose(self._others.dead(owners, now))
        running = {*self._running(), *(each.generation_id for each in self._journal.waiting)}
        own = await self._held_by([self._writer.instance])
        for stray in self._strays.dead(dict.fromkeys({*own} - running), now):
            await self._writer.submit(Resolve(stray, ABANDONED))

    async def lose(self, instances: Iterable[str]) -> None:
        """Give up everything that these gateways hold."""
        gone = tuple(instances)
        if not gone:
            return
        held = await self._held_by(gone)
        for some in _chunks(held):
            await self._writer.submit(Lose(some))
        await self._writer.submit(Leave(gone))
        if held:
            log.warning("%d requests of gateways that died are unknown now", len(held))

    async def judge(self) -> None:
        """End what has been unknown for long by the operator's rule."""
        hours, keep = self._rules.unknown_hours, self._rules.unknown == "keep"
        before_ms = int(time.time() * 1000 - hours * MS_PER_HOUR)
        for some in _chunks(await self._ids("unknown", generation.c.at_ms < before_ms)):
            await self._writer.submit(Judge(some, keep))

    async def _other_owners(self) -> dict[str, int | None]:
        """Every other gateway that has a row or holds something, with its beat."""
        holders = select(generation.c.instance).where(*_are("held")).distinct()
        async with self._reading.connect() as connection:
            names = (await connection.execute(holders)).scalars().all()
            rows = (await connection.execute(select(instance.c.id, instance.c.beat))).all()
        beats: dict[str, int | None] = dict.fromkeys(each for each in names if each)
        beats |= {row.id: row.beat for row in rows}
        beats.pop(self._writer.instance, None)
        return beats

    async def _held_by(self, instances: Iterable[str]) -> list[str]:
        return await self._ids("held", generation.c.instance.in_(list(instances)))

    async def _ids(self, status: Unended, where: ColumnElement[bool]) -> list[str]:
        wanted = select(generation.c.id).where(*_are(status), where)
        async with self._reading.connect() as connection:
            return list((await connection.execute(wanted)).scalars())


def _chunks(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for first in range(0, len(ids), CHUNK):
        yield tuple(ids[first : first + CHUNK])


def _are(status: Unended) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return generation.c.id.in_(unended(status)), generation.c.status == status

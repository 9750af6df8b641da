"""Kill -9 at random moments and at every named edge: nothing acknowledged is lost, nothing twice.

Victims are forked, so that a round takes a fraction of a second. Each works on a key of its own
and tells over a pipe what the ledger acknowledged; what it told is then looked for in the database.
"""

import asyncio
import os
import random
import secrets
import select
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from gateway.identity import new_identity
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.journal import Journal
from gateway.metering.operations import (
    AttemptResult,
    Budget,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Judge,
    Lose,
    Opening,
    Resolve,
    SetBudgets,
)
from gateway.metering.recovery import Recovery
from gateway.metering.scopes import GLOBAL, scope_of
from gateway.metering.writer import Writer
from gateway.settings import RecoveryRules
from tests.torture.edges import EDGES, Edged, Point
from tests.torture.places import Place, places

CALLERS = 64
RANDOM_ROUNDS = 1_000
EDGE_ROUNDS = 20
LONGEST_LIFE = 0.25
BOUND = 1_000
RULES = RecoveryRules(beat_seconds=3600, dead_seconds=0.001)


@dataclass
class Told:
    """What a victim had been told by the ledger when it died."""

    key: str
    held: set[str] = field(default_factory=set)
    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    journalled: set[str] = field(default_factory=set)

    def hear(self, lines: bytes) -> None:
        for line in lines.decode().splitlines():
            what, _, rest = line.partition(" ")
            if what == "held":
                self.held.add(rest)
            elif what == "ended":
                id_, status, nano = rest.split()
                self.ended[id_] = (status, int(nano))
            elif what == "journalled":
                self.journalled.add(rest)


def run(scale: int, seed: int, kind: str) -> list[str]:
    """1,000 random kills and 20 at each edge, on one kind of database; gives what was violated."""
    chance = random.Random(seed)
    violations: list[str] = []
    with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as found:
        for place in (each for each in found if each.kind == kind):
            asyncio.run(_limit_all(place))
            holds = 0
            for number in range(RANDOM_ROUNDS * scale):
                told = killed_at_random(place, chance)
                holds += len(told.held)
                violations += checked(place, told, f"{place.kind} random {number}")
                _progress(place.kind, number, holds)
            print(f"\n{place.kind}: {RANDOM_ROUNDS * scale} kills, {holds} holds acknowledged")
            for point in EDGES:
                for number in range(EDGE_ROUNDS * scale):
                    told = killed_at(place, point)
                    violations += checked(place, told, f"{place.kind} {point.name} {number}")
            print(f"{place.kind}: {len(EDGES)} edges, {EDGE_ROUNDS * scale} kills each")
    return violations


def _progress(kind: str, number: int, holds: int) -> None:
    if number % 50 == 0:
        print(f"\r{kind}: kill {number}, {holds} holds acknowledged", end="", flush=True)


# Killing.


def killed_at_random(place: Place, chance: random.Random) -> Told:
    """A gateway with many callers, killed a while after its first answer."""
    told = Told(secrets.token_hex(32))
    seed = chance.getrandbits(32)
    pid, pipe = _forked(lambda tell: _many_callers(place, told.key, tell, random.Random(seed)))
    select.select([pipe], [], [], 30)
    time.sleep(chance.random() * LONGEST_LIFE)
    os.kill(pid, signal.SIGKILL)
    _hear_out(pid, pipe, told)
    return told


def killed_at(place: Place, point: Point) -> Told:
    """A gateway with one caller, which kills itself at a named edge."""
    told = Told(secrets.token_hex(32))
    pid, pipe = _forked(lambda tell: _one_caller(place, told.key, tell, point))
    _hear_out(pid, pipe, told)
    return told


def _forked(
    work: Callable[[Callable[[str], None]], Coroutine[None, None, None]],
) -> tuple[int, int]:
    """Work in a child, which never comes back from it; gives its id and what it tells."""
    ear, mouth = os.pipe()
    pid = os.fork()
    if pid:
        os.close(mouth)
        return pid, ear
    try:
        os.close(ear)
        asyncio.run(work(lambda line: (os.write(mouth, f"{line}\n".encode()), None)[1]))
    finally:
        os._exit(0)


def _hear_out(pid: int, pipe: int, told: Told) -> None:
    heard = b""
    while piece := os.read(pipe, 65536):
        heard += piece
    os.close(pipe)
    os.waitpid(pid, 0)
    told.hear(heard[: heard.rfind(b"\n") + 1])


# Victims.


async def _many_callers(
    place: Place, key: str, tell: Callable[[str], None], chance: random.Random
) -> None:
    writer = Writer(open_writing(database_url(place.url), checkpoints=True))
    await writer.submit(_key(key))

    async def caller(own: random.Random) -> None:
        while True:
            await _request(writer, key, tell, own)

    await asyncio.gather(*(caller(random.Random(chance.getrandbits(32))) for _ in range(CALLERS)))


async def _request(
    writer: Writer, key: str, tell: Callable[[str], None], chance: random.Random
) -> None:
    hold = _hold(key)
    id_ = hold.opening.id
    await writer.submit(hold)
    tell(f"held {id_}")
    attempts = 1
    if chance.random() < 0.2:
        await writer.submit(Extend(id_, 300, Intent(2, "second", "a/m", "v", 1, 300)))
        attempts = 2
    if chance.random() < 0.1:
        return
    status, nano = ("settled", chance.randrange(BOUND)) if chance.random() < 0.8 else ("voided", 0)
    await writer.submit(Resolve(id_, _closing(status, nano, attempts)))
    tell(f"ended {id_} {status} {nano}")


async def _one_caller(place: Place, key: str, tell: Callable[[str], None], point: Point) -> None:
    """Every operation once, in the order of the edges; dies at `point`."""
    edged = Edged(open_writing(database_url(place.url), checkpoints=True), point)
    writer = Writer(edged)  # type: ignore[arg-type]  # an engine but for where it kills
    await writer.submit(_key(key))
    first, second, third = _hold(key), _hold(key), _hold(key)
    for step, operation, line in (
        ("hold", first, f"held {first.opening.id}"),
        ("extend", Extend(first.opening.id, 300, Intent(2, "second", "a/m", "v", 1, 300)), ""),
        ("settle", Resolve(first.opening.id, _closing("settled", 400, 2)), ""),
        ("hold", second, f"held {second.opening.id}"),
        ("void", Resolve(second.opening.id, _closing("voided", 0, 1)), ""),
        ("hold", third, f"held {third.opening.id}"),
        ("lose", Lose((third.opening.id,)), ""),
        ("judge", Judge((third.opening.id,), keep=False), ""),
        ("budget", SetBudgets((Budget(scope_of(key), "day", 10**9),), "t"), ""),
    ):
        edged.step = step
        await writer.submit(operation)
        if line:
            tell(line)
        if isinstance(operation, Resolve):
            closing = operation.closing
            tell(f"ended {operation.generation_id} {closing.status} {closing.cost_nano}")
        edged.reached("answered")
    await _journal(place, edged, writer, key, tell)


async def _journal(
    place: Place, edged: Edged, writer: Writer, key: str, tell: Callable[[str], None]
) -> None:
    """An end that goes the way of the journal."""
    hold = _hold(key)
    await writer.submit(hold)
    tell(f"held {hold.opening.id}")
    journal = Journal(place.journals, writer.instance)
    journal.append(Resolve(hold.opening.id, _closing("settled", 250, 1)))
    tell(f"journalled {hold.opening.id}")
    edged.step = "journal"
    edged.reached("written")
    await journal.replay(writer)
    edged.reached("replayed")


# Checking.


def checked(place: Place, told: Told, where: str) -> list[str]:
    """What the database does not say that the victim was told, and what does not add up."""
    pid, pipe = _forked(lambda _: _recover(place))
    os.close(pipe)
    os.waitpid(pid, 0)
    engine = create_engine(database_url(place.url), poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, status, cost_nano FROM generation WHERE key_hash = :key"),
            {"key": told.key},
        ).all()
        sums = connection.execute(text(_SUMS), {"key": told.key}).one_or_none()
        balance = connection.execute(
            text(
                "SELECT posted_nano, held_nano, posted_characters, held_characters, streams"
                " FROM balance WHERE id = :id"
            ),
            {"id": f"{scope_of(told.key)}|total|0"},
        ).one_or_none()
    known = {row.id: (row.status, row.cost_nano) for row in rows}
    wrong = [f"{each} was held, and is not there" for each in told.held if each not in known]
    wrong += [
        f"{id_} ended as {end}, and is {known.get(id_)}"
        for id_, end in told.ended.items()
        if known.get(id_) != end
    ]
    wrong += [f"{id_} is still held" for id_, (status, _) in known.items() if status == "held"]
    wrong += [
        f"{id_} was journalled, and is {known.get(id_)}"
        for id_ in told.journalled
        if known.get(id_) != ("settled", 250)
    ]
    if balance is not None and sums is not None:
        expected = (int(sums.nano), 0, int(sums.characters), 0, 0)
        if tuple(balance) != expected:
            wrong.append(f"the balance is {tuple(balance)}, the entries say {expected}")
    return [f"{where}: {each}" for each in wrong]


_SUMS = """
SELECT coalesce(sum(e.nano), 0) AS nano, coalesce(sum(e.characters), 0) AS characters
FROM entry e JOIN generation g ON g.id = e.generation_id
WHERE g.key_hash = :key AND e.ledger = 'charge' AND e.kind <> 'hold'"""


async def _recover(place: Place) -> None:
    """The next gateway's start."""
    writer = Writer(open_writing(database_url(place.url), checkpoints=True))
    reading = open_reading(database_url(place.url))
    recovery = Recovery(writer, reading, Journal(place.journals, writer.instance), RULES)
    await recovery.start()
    await recovery.sweep(0.0)
    await recovery.sweep(1.0)
    await recovery.stop()
    await reading.dispose()
    await writer.close()


def _key(key: str) -> CreateKey:
    budget = Budget(scope_of(key), "total", limit_nano=10**15)
    return CreateKey(key, key, "n", "l", "speak", 1, budgets=(budget,))


async def _limit_all(place: Place) -> None:
    """A budget that every request of every victim counts on."""
    writer = Writer(open_writing(database_url(place.url), checkpoints=True))
    every = Budget(GLOBAL, "month", limit_nano=10**18)
    await writer.submit(SetBudgets((every,), "t"))
    await writer.close()


def _hold(key: str) -> Hold:
    own = new_identity()
    opening = Opening(
        id=own.generation_id,
        request_id=own.request_id,
        trace_id=own.trace_id,
        key_hash=key,
        created_ms=1,
        requested_model="a/m",
        format="mp3",
        streamed=False,
        characters=10,
        plan="{}",
    )
    return Hold(opening, BOUND, Intent(1, "first", "a/m", "v", 1, BOUND))


def _closing(status: str, nano: int, attempts: int) -> Closing:
    failed = [AttemptResult(seq, "failed", 0, 5) for seq in range(1, attempts)]
    return Closing(
        "settled" if status == "settled" else "voided",
        200,
        5,
        cost_nano=nano,
        charged_characters=10 if nano else 0,
        attempts=(*failed, AttemptResult(attempts, "done", nano, 5)),
    )

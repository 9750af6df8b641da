"""Mixed offers under load: two good, one slow, one flapping, one dead; nobody is to notice.

Run as a program: `python -m tests.torture.mixed [--requests N] [--seed N]`; fails when a client saw
a failure, when speech that was wanted soon came later than from the good offers alone, when
providers were asked too often, or when the books do not add up.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from sqlalchemy import NullPool, create_engine

from gateway.metering.database import database_url
from tests.doubles.books import Books, Key, new_key, until
from tests.doubles.catalogue import offer, provider
from tests.doubles.running import Running, running
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream
from tests.gateway.ledger.audit import assert_at_rest, assert_sound

REQUESTS = 10_000
CLIENTS = 32
PAUSE_SECONDS = 0.15
"""Between two requests of a client, on the average: a gateway that is never idle is always late."""
KEYS = 4
MODEL = "mixed/model"
GOOD = ("good-one", "good-two")
NAMES = {
    "good-one": ("chunked", 15),
    "good-two": ("chunked", 16),
    "flapping": ("flapping", 12),
    "slow": ("slow", 15),
}
"""Provider -> how it behaves, and USD per million characters.

What fails is cheapest, so that it is wanted; what is slow costs as much as the good.
"""
DEAD = ("dead", "http://127.0.0.1:1/v1", 10)
SWIFT: tuple[dict[str, object], ...] = (
    {"provider": {"sort": "latency"}},
    {"provider": {"sort": "latency", "hedge": True}},
    {"provider": {"sort": "throughput"}},
    {"model": f"{MODEL}:nitro"},
)
"""What requests ask for that want to be heard soon."""
ANY: tuple[dict[str, object], ...] = (
    {},
    {},
    {"provider": {"sort": "price"}},
    {"provider": {"sort": "availability"}},
    {"model": f"{MODEL}:floor"},
)
"""And what those ask for that do not care: to them a slow offer is as good as any."""
ALONE = {"provider": {"only": list(GOOD)}}
ONE_ALONE_IN = 4
MOST_CALLS = 1.2
MOST_LATE = 1.5
ENOUGH = 1000
"""Requests to the good offers alone from which on their p99 says something."""


@dataclass
class Seen:
    """What the clients saw."""

    late: dict[str, list[float]] = field(
        default_factory=lambda: {"swift": [], "any": [], "alone": []}
    )
    """Seconds to first audio, of those that want it soon, that want anybody, or the good alone."""
    failures: Counter[str] = field(default_factory=Counter)
    done: int = 0


def run(scale: int, seed: int) -> list[str]:
    """The whole proof; gives what was violated."""
    return proof(REQUESTS * scale, seed)


def proof(requests: int, seed: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, Upstream() as upstream:
        with _gateway(Path(folder), upstream) as gateway:
            keys = _keys(gateway)
            seen, begun = Seen(), time.monotonic()
            asyncio.run(_load(gateway, keys, list(_bodies(requests, seed)), seen))
            seconds = time.monotonic() - begun
            print(f"\r{requests} requests in {seconds:.1f} s, {requests / seconds:.0f} a second")
            wrong = _told(seen) + _balanced(gateway, keys)
        return wrong + _books(gateway, upstream)


def _gateway(folder: Path, upstream: Upstream) -> AbstractContextManager[Running]:
    rows = []
    for name, (behaviour, usd) in NAMES.items():
        upstream.mood[name] = behaviour
        rows.append(provider(name, upstream.address(name), offer(MODEL, str(usd))))
    name, address, usd = DEAD
    rows.append(provider(name, address, offer(MODEL, str(usd))))
    (folder / "providers.toml").write_text("\n".join(rows))
    return running(
        folder,
        f"sqlite+aiosqlite:///{folder}/gateway.db",
        GATEWAY_CATALOG=str(folder / "providers.toml"),
        GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        GATEWAY_DEFAULTS_POLICY="balanced",
        GATEWAY_KEY_PEPPER=secrets.token_hex(32),
    )


def _keys(gateway: Running) -> list[Key]:
    with gateway.client() as client:
        return [new_key(client) for _ in range(KEYS)]


def _bodies(requests: int, seed: int) -> Iterator[dict[str, object]]:
    """`user` says which of the three kinds a request is."""
    chance = random.Random(seed)
    for number in range(requests):
        said = f"{number} {'x' * chance.randrange(20, 200)}"
        kind = "alone" if number % ONE_ALONE_IN == 0 else chance.choice(("swift", "any"))
        wish = {"alone": (ALONE,), "swift": SWIFT, "any": ANY}[kind]
        yield {"model": MODEL, "input": said, "user": kind} | chance.choice(wish)


async def _load(
    gateway: Running, keys: list[Key], bodies: list[dict[str, object]], seen: Seen
) -> None:
    left, connector = iter(bodies), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(gateway.url, connector=connector) as session:

        async def caller(key: Key) -> None:
            for body in left:
                await _ask(session, key, body, seen)
                await asyncio.sleep(random.expovariate(1 / PAUSE_SECONDS))

        telling = asyncio.create_task(_tell(seen, len(bodies)))
        await asyncio.gather(*(caller(keys[n % KEYS]) for n in range(CLIENTS)))
        telling.cancel()


async def _ask(
    session: aiohttp.ClientSession, key: Key, body: dict[str, object], seen: Seen
) -> None:
    headers = {"authorization": f"Bearer {key.plain}"}
    begun = time.perf_counter()
    try:
        async with session.post("/v1/audio/speech", json=body, headers=headers) as answer:
            audio = await answer.content.readany()
            late = time.perf_counter() - begun
            audio += await answer.read()
    except aiohttp.ClientError as error:
        seen.failures[type(error).__name__] += 1
    else:
        if answer.status != 200:
            seen.failures[f"{answer.status} {audio[:300]!r}"] += 1
        elif not clip("mp3").endswith(audio):  # an ID3 tag before it is left out
            seen.failures[f"{len(audio)} bytes that are not the clip"] += 1
        seen.late[str(body["user"])].append(late)
    seen.done += 1


async def _tell(seen: Seen, requests: int) -> None:
    while True:
        await asyncio.sleep(1)
        failed = sum(seen.failures.values())
        print(f"\r{seen.done} of {requests}, {failed} failed", end="", flush=True)


def _told(seen: Seen) -> list[str]:
    """What was wrong for the clients."""
    wrong = [f"{count} times: {what}" for what, count in seen.failures.items()]
    shares = {
        kind: [_share(late, part) for part in (0.5, 0.99)] for kind, late in seen.late.items()
    }
    for kind, (half, most) in shares.items():
        print(f"first audio, {kind}: p50 {half:.1f} ms, p99 {most:.1f} ms")
    ratio = shares["swift"][1] / shares["alone"][1]
    print(f"the swift p99 is {ratio:.2f} times that of the good offers alone, at most {MOST_LATE}")
    if len(seen.late["alone"]) < ENOUGH:
        print("too few requests to judge that")
    elif ratio > MOST_LATE:
        wrong.append(f"first audio at p99 comes {ratio:.2f} times as late")
    return wrong


def _share(late: list[float], part: float) -> float:
    return sorted(late)[int(len(late) * part)] * 1000


def _balanced(gateway: Running, keys: list[Key]) -> list[str]:
    """Each key's entries against its balance."""
    books = Books(gateway)
    until(lambda: not books.ask("SELECT id FROM generation WHERE status = 'held' LIMIT 1"), 20)
    try:
        for key in keys:
            books.assert_balanced(key.hash)
    except AssertionError as error:
        return [f"a key's books do not balance: {error}"]
    return []


def _books(gateway: Running, upstream: Upstream) -> list[str]:
    """The whole database, and what providers say beside it."""
    wrong = []
    engine = create_engine(
        database_url(gateway.environ["GATEWAY_DATABASE_URL"]), poolclass=NullPool
    )
    with engine.connect() as connection:
        try:
            assert_at_rest(assert_sound(connection))
        except AssertionError as error:
            wrong.append(f"the books are not sound: {error}")
    [asked] = Books(gateway).ask(_ASKED)
    calls, owed, asking = (int(str(asked[name])) for name in ("calls", "owed", "requests"))
    gave = sum(
        NAMES[each.behaviour][1] * 1000 * len(each.text) for each in upstream.heard if each.gave
    )
    by_name = ", ".join(f"{name} {upstream.counts[name]}" for name in NAMES)
    print(f"{calls / asking:.3f} calls a request, at most {MOST_CALLS}; upstream heard {by_name}")
    print(f"owed {owed} nano-USD, providers gave audio for {gave}")
    if calls > MOST_CALLS * asking:
        wrong.append(f"{calls} calls for {asking} requests")
    if gave > owed:
        wrong.append(f"providers gave audio for {gave} nano-USD, {owed} are owed")
    if len(upstream.heard) > int(str(asked["intents"])):
        wrong.append(f"{len(upstream.heard)} calls heard upstream, {asked['intents']} intents")
    return wrong


_ASKED = """
SELECT count(CASE WHEN g."user" <> 'alone' THEN 1 END) AS calls,
       count(DISTINCT CASE WHEN g."user" <> 'alone' THEN g.id END) AS requests,
       sum(a.liability_nano) AS owed,
       count(*) AS intents
FROM attempt a JOIN generation g ON g.id = a.generation_id
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.mixed")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    told = parser.parse_args()
    print(f"{told.requests} requests of {CLIENTS} clients, seed {told.seed}", flush=True)
    wrong = proof(told.requests, told.seed)
    for each in wrong:
        print(f"VIOLATION: {each}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

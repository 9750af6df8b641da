"""`python -m tests.bench.pages --folder F`: every page over a large database of either kind.

Each page is asked for by a key that manages, one that reads its project's and one that speaks, at
the real gateway; a browser paints some; and then all are asked beside it, for their queries' plans.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import NullPool, create_engine

from gateway.dashboard.sessions import COOKIE
from gateway.metering.database import database_url
from tests.bench.pages.addresses import Known, pages
from tests.bench.pages.painting import Painted, paint
from tests.bench.pages.plans import Planned, plan
from tests.bench.pages.seeding import Seeded, databases, seeded
from tests.bench.pages.work import worked
from tests.doubles.running import Running, running

TIMES = 5
MOST_MS = 300
SHOWN = 25
"""The slowest pages; all are shown by --all."""
HOLDERS = dict.fromkeys(
    ("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "CARTESIA_API_KEY", "DEEPGRAM_API_KEY"), "bench"
)
"""So that providers are on; nobody is asked."""
CALM = {"GATEWAY_RECOVERY_UNKNOWN_HOURS": "8760", "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One page as one kind of key saw it."""

    who: str
    page: str
    took: tuple[float, ...]
    """Milliseconds by the clock."""
    work: float
    """Milliseconds of processors, of gateway and database together; on average."""
    size: int
    """Bytes as they were sent."""


def main() -> None:
    asked = _arguments()
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as passing, Progress(console=console) as bar:
        folder = (asked.folder or Path(passing)).absolute()
        with databases(folder) as urls:
            for name, url in urls.items():
                if name.lower() not in asked.on:
                    continue
                made = seeded(name, url, folder, (asked.generations, asked.keys), bar)
                known = known_of(made)
                measured, painted = _measure(made, known, _postmaster(folder, name), bar)
                console.print(_table(name, measured, None if asked.all else SHOWN))
                console.print(_paint_table(name, painted))
                _tell_plans(console, name, plan(made, known, bar, **HOLDERS, **CALM))
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where seeded databases stay; made if absent")
    parser.add_argument("--generations", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--on", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--all", action="store_true", help="print every page")
    return parser.parse_args()


def known_of(made: Seeded) -> Known:
    engine = create_engine(database_url(made.url), poolclass=NullPool)
    with engine.connect() as connection:
        return Known.of(connection, made.busiest)


def _postmaster(folder: Path, name: str) -> list[int]:
    """The database's own process, where it has one."""
    file = folder / "postgres" / "postmaster.pid"
    return [int(file.read_text().split()[0])] if name == "PostgreSQL" else []


def _measure(
    made: Seeded, known: Known, database: list[int], bar: Progress
) -> tuple[list[Measured], list[Painted]]:
    measured: list[Measured] = []
    with running(Path(made.data), made.url, **HOLDERS, **CALM) as gateway:
        roots = [gateway.process.pid, *database]
        for who in ("manage", "read", "speak"):
            with signed_in(gateway, getattr(made, who)) as client:
                of_it = pages(known, manages=who == "manage")
                each = bar.track(of_it, description=f"pages of a key that may {who}")
                measured += [_ask(client, who, page, roots) for page in each]
        with signed_in(gateway, made.manage) as client:
            painted = paint(gateway.url, client.cookies[COOKIE])
    return measured, painted


@contextmanager
def signed_in(gateway: Running, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=60) as client:
        answer = client.post("/dashboard/sign-in", data={"key": key})
        assert answer.status_code == 303, answer.text
        yield client


def _ask(client: httpx.Client, who: str, page: str, roots: list[int]) -> Measured:
    took, size, before = [], 0, worked(roots)
    for _ in range(TIMES):
        begun = time.perf_counter()
        with client.stream("GET", page) as answer:
            size = sum(map(len, answer.iter_raw()))
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, (page, answer.status_code)
    work = (worked(roots) - before) * 1000 / TIMES
    return Measured(who, page, tuple(took), work, size)


def _table(name: str, measured: list[Measured], most: int | None) -> Table:
    slowest = sorted(measured, key=lambda each: -max(each.took))
    above = sum(max(each.took) > MOST_MS for each in measured)
    usually = sum(median(each.took) > MOST_MS for each in measured)
    table = Table("key may", "page", "median ms", "worst ms", "CPU ms", "bytes")
    table.title = f"{name}: {len(measured)} pages, {TIMES} times each; above {MOST_MS} ms:"
    table.title += f" {usually} by their median, {above} by their worst"
    for each in slowest[:most]:
        figures = (f"{median(each.took):.0f}", f"{max(each.took):.0f}", f"{each.work:.0f}")
        table.add_row(each.who, each.page, *figures, f"{each.size:,}")
    return table


def _paint_table(name: str, painted: list[Painted]) -> Table:
    columns = ("page", "cold median ms", "worst", "warm median ms", "worst", "first load, bytes")
    table = Table(*columns, title=f"{name}: first contentful paint, {platform.machine()}")
    for each in painted:
        both = [f(times) for times in (each.cold, each.warm) for f in (median, max)]
        table.add_row(each.page, *(f"{ms:.0f}" for ms in both), f"{each.first_bytes:,}")
    return table


def _tell_plans(console: Console, name: str, planned: Planned) -> None:
    bad = len(planned.whole)
    console.print(f"{name}: {planned.statements} statements; {bad} read a whole large table")
    for (step, sql), where in planned.whole.items():
        console.print(f"  {step}: {len(where)} pages, as {where[0]}: {' '.join(sql.split())[:300]}")


if __name__ == "__main__":
    main()

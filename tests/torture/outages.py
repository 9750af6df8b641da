"""Outages of whole gateways under load: killed, without a database, without a disk."""

import asyncio
import random
import resource
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream
from tests.torture.houses import Heard, left, load, postgres, upstream_and_catalogue

KILLS = 10
OUTAGES = 4
Steps = list[tuple[float, Callable[[], None]]]


def run(scale: int, seed: int) -> list[str]:
    """Kills, stopped databases, locked ones and full disks; gives what was violated."""
    chance = random.Random(seed)
    violations: list[str] = []
    for name, happen in (
        ("killed on SQLite", _killed_on_sqlite),
        ("killed on PostgreSQL", _killed_on_postgres),
        ("PostgreSQL stopped at once", _stopped),
        ("SQLite locked", _locked),
        ("disk full", _full),
    ):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            heard = Heard()
            wrong = happen(Path(folder), scale, chance, heard)
            told = ", ".join(f"{status}: {n}" for status, n in sorted(heard.statuses.items()))
            print(f"{name}: {told}; {len(wrong)} violations, {time.monotonic() - began:.0f} s")
            violations += [f"{name}: {each}" for each in wrong]
    return violations


def _killed_on_sqlite(folder: Path, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    return _killed(folder, f"sqlite:///{folder}/g.db", KILLS * scale, chance, heard)


def _killed_on_postgres(folder: Path, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    with postgres(folder) as (url, _):
        return _killed(folder, url, KILLS * scale, chance, heard)


def _killed(folder: Path, url: str, rounds: int, chance: random.Random, heard: Heard) -> list[str]:
    """Kill -9 under load, start again on the same database and data, and so on."""
    with upstream_and_catalogue(folder) as (upstream, more):
        for _ in range(rounds):
            with running(folder / "data", url, **more) as gateway:
                asked = len(upstream.heard)
                life = chance.uniform(0.05, 1.0)

                def kill(gateway: Running = gateway) -> None:
                    gateway.process.send_signal(signal.SIGKILL)
                    gateway.process.wait()

                under_load(gateway, more, [(life, kill)], heard, chance)
                print(f"\r{len(upstream.heard) - asked} calls in a life of {life:.2f} s", end=" ")
        with running(folder / "data", url, **more):
            # Whoever had the last byte may have lost the 250 ms in which it would be settled.
            return left(url, upstream, heard, {"settled", "unknown"})


def _stopped(folder: Path, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    with postgres(folder) as (url, control), upstream_and_catalogue(folder) as (upstream, more):
        return _troubled(
            folder,
            url,
            upstream,
            more,
            [
                step
                for _ in range(OUTAGES * scale)
                for step in (
                    (chance.uniform(0.3, 1.5), lambda: control("stop -m immediate")),
                    (chance.uniform(0.3, 2.0), lambda: control("start")),
                )
            ]
            + [(3.0, lambda: None)],
            heard,
            chance,
        )


def _locked(folder: Path, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    """Somebody else holds SQLite's lock for longer than the ledger waits."""
    url = f"sqlite:///{folder}/g.db"
    locks: list[sqlite3.Connection] = []

    def lock() -> None:
        locks.append(sqlite3.connect(folder / "g.db", timeout=10, check_same_thread=False))
        locks[-1].execute("BEGIN EXCLUSIVE")

    def let_go() -> None:
        locks[-1].close()

    with upstream_and_catalogue(folder) as (upstream, more):
        steps = [
            step
            for _ in range(OUTAGES * scale)
            for step in ((chance.uniform(0.3, 1.0), lock), (4.0, let_go))
        ]
        return _troubled(folder, url, upstream, more, [*steps, (3.0, lambda: None)], heard, chance)


def _full(folder: Path, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    """No file may grow: what a disk that is full does to every writer."""
    url = f"sqlite:///{folder}/g.db"
    with (
        upstream_and_catalogue(folder) as (upstream, more),
        running(folder / "data", url, **more) as gateway,
    ):
        pid = gateway.process.pid

        def fill() -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

        def empty() -> None:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)

        steps = [
            step
            for _ in range(OUTAGES * scale)
            for step in ((chance.uniform(0.3, 1.0), fill), (chance.uniform(0.5, 3.0), empty))
        ]
        under_load(gateway, more, [*steps, (3.0, lambda: None)], heard, chance)
        return left(url, upstream, heard, {"settled"})


def _troubled(  # noqa: PLR0913, PLR0917  # a house, its trouble and who looks on
    folder: Path,
    url: str,
    upstream: Upstream,
    more: dict[str, str],
    steps: Steps,
    heard: Heard,
    chance: random.Random,
) -> list[str]:
    with running(folder / "data", url, **more) as gateway:
        under_load(gateway, more, steps, heard, chance)
        return left(url, upstream, heard, {"settled"})


def under_load(
    gateway: Running, more: dict[str, str], steps: Steps, heard: Heard, chance: random.Random
) -> None:
    async def happen() -> None:
        for seconds, do in steps:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(do)

    key = more["GATEWAY_ADMIN_KEY"]
    asyncio.run(load(gateway.url, key, happen, heard, chance.getrandbits(32)))

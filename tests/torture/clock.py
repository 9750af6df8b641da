"""The clock moves by hours under load: periods are those of the database, and nothing is lost.

It is moved for real, under the feet of the gateway and of the database, by libfaketime (Debian's
faketime).
"""

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import NullPool, create_engine, text

from gateway.metering.database import database_url
from tests.doubles.running import running
from tests.torture.houses import Heard, left, postgres, upstream_and_catalogue
from tests.torture.outages import Steps, under_load

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
MOVES = ("+3600", "-3600", "+90000", "+0", "-7200", "+0")


def run(scale: int, seed: int) -> list[str]:
    """On either database; gives what was violated."""
    if LIBRARY is None:
        return ["clock: libfaketime is not here; install Debian's package faketime"]
    chance = random.Random(seed)
    violations: list[str] = []
    for kind in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory() as folder:
            heard = Heard()
            wrong = _moved(Path(folder), kind, scale, chance, heard)
            told = ", ".join(f"{status}: {n}" for status, n in sorted(heard.statuses.items()))
            print(f"clock moved under {kind}: {told}; {len(wrong)} violations")
            violations += [f"clock, {kind}: {each}" for each in wrong]
    return violations


def _moved(folder: Path, kind: str, scale: int, chance: random.Random, heard: Heard) -> list[str]:
    clock = folder / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    folder.chmod(0o755)  # the database's own user must read the clock
    with _database(folder, kind, faked) as url, upstream_and_catalogue(folder) as (upstream, more):
        steps: Steps = [
            (chance.uniform(2.0, 3.0), lambda move=move: _put(clock, move))  # type: ignore[misc]  # bound now
            for move in MOVES * scale
        ]
        with running(folder / "data", url, **more, **faked) as gateway:
            for period in ("minute", "hour", "day"):
                _limit(gateway.url, more["GATEWAY_ADMIN_KEY"], period)
            under_load(gateway, more, [*steps, (2.0, lambda: None)], heard, chance)
            wrong = left(url, upstream, heard, {"settled"})
            return wrong + _not_moved(url)


def _not_moved(url: str) -> list[str]:
    """Whether the database's clock was where it was put."""
    engine = create_engine(database_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        hours = "SELECT count(DISTINCT start_ms) FROM balance WHERE period = 'hour'"
        found = connection.execute(text(hours)).scalar_one()
    return [] if found >= len(set(MOVES)) - 1 else [f"requests in {found} hours only"]


@contextmanager
def _database(folder: Path, kind: str, faked: dict[str, str]) -> Iterator[str]:
    if kind == "SQLite":
        yield f"sqlite:///{folder}/g.db"
        return
    before = dict(os.environ)
    os.environ.update(faked)  # for the server, which is started as a child
    try:
        with postgres(folder) as (url, _):
            os.environ.clear()
            os.environ.update(before)
            yield url
    finally:
        os.environ.clear()
        os.environ.update(before)


def _put(clock: Path, move: str) -> None:
    draft = clock.with_suffix(".new")
    draft.write_text(move)
    draft.rename(clock)


def _limit(url: str, key: str, period: str) -> None:
    """A budget in every period, so that each has its balance."""
    body = {"scope": "project:default", "period": period, "limit": "1000"}
    headers = {"authorization": f"Bearer {key}"}
    httpx.put(f"{url}/v1/budgets", json=body, headers=headers).raise_for_status()

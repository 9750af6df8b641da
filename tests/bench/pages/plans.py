"""The plans of whatever the pages ask, on a seeded database."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from tests.bench.pages.addresses import Known, pages
from tests.bench.pages.seeding import Seeded
from tests.doubles.plans import visiting, whole
from tests.doubles.running import environment


@dataclass(frozen=True, slots=True)
class Planned:
    """How many statements there were, and those that go through a whole table."""

    statements: int
    whole: dict[tuple[str, str], list[str]]
    """By (step, statement): the pages."""


def plan(made: Seeded, known: Known, bar: Progress, **more: str) -> Planned:
    return asyncio.run(_plan(made, known, bar, environment(Path(made.data), made.url, **more)))


async def _plan(made: Seeded, known: Known, bar: Progress, environ: dict[str, str]) -> Planned:
    statements = 0
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    async with visiting(environ) as visit:
        for who in ("manage", "read", "speak"):
            of_it = pages(known, manages=who == "manage")
            for page in bar.track(of_it, description=f"plans for a key that may {who}"):
                asked = await visit.asked(page, getattr(made, who))
                statements += len(asked)
                # By the gateway's own connection, whose settings decide about plans too.
                async with visit.gateway.reading.connect() as connection:
                    for each in asked:
                        for step in await connection.run_sync(whole, each):
                            found[step, each.sql].append(f"{who} {page}")
    return Planned(statements, dict(found))

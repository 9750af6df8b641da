"""`python -m tests.simulation --seeds 10000`, or `--seed N` to see one again."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.simulation.watch import Wrong
from tests.simulation.world import World

PROCESSES = 2
TOLD = 20
"""Seeds that went wrong, at most."""


@dataclass(frozen=True)
class Lived:
    seed: int
    outcomes: Counter[str]
    wrong: str | None = None


def live(seed: int) -> Lived:
    world = World(seed)
    try:
        return Lived(seed, world.run())
    except Wrong as wrong:
        return Lived(seed, world.outcomes, f"at {world.now - world.begins:.3f} s: {wrong}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one, with what is wrong as it is")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many, from 0")
    asked = parser.parse_args()
    if asked.seed is not None:
        World(asked.seed).run()
        return
    began = time.monotonic()
    with ProcessPoolExecutor(PROCESSES) as pool:
        lives = pool.map(live, range(asked.seeds), chunksize=20)
        lived = list(track(lives, "seeds", total=asked.seeds, console=Console(stderr=True)))
    tell(lived, time.monotonic() - began)
    sys.exit(any(each.wrong for each in lived))


def tell(lived: list[Lived], seconds: float) -> None:
    console = Console()
    outcomes = sum((each.outcomes for each in lived), Counter[str]())
    table = Table("requests ended", "times", title=f"{len(lived)} seeds in {seconds:.0f} s")
    for outcome, times in outcomes.most_common():
        table.add_row(outcome, f"{times:,}")
    console.print(table)
    wrong = [each for each in lived if each.wrong]
    for each in wrong[:TOLD]:
        console.print(f"wrong: python -m tests.simulation --seed {each.seed}   ({each.wrong})")
    console.print(f"{len(wrong)} of {len(lived)} seeds went wrong")


if __name__ == "__main__":
    main()

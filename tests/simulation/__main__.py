"""`python -m tests.simulation --seeds 10000`, or `--seed N` to see one again."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.simulation.requests import Life, live

PROCESSES = 2
TOLD = 20
"""Seeds that went wrong, at most."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many, from 0")
    asked = parser.parse_args()
    began = time.monotonic()
    lives = [live(asked.seed)] if asked.seed is not None else _lives(asked.seeds)
    _tell(lives, time.monotonic() - began)
    sys.exit(any(life.wrong for life in lives))


def _lives(seeds: int) -> list[Life]:
    with ProcessPoolExecutor(PROCESSES) as pool:
        lives = pool.map(live, range(seeds), chunksize=20)
        return list(track(lives, "seeds", total=seeds, console=Console(stderr=True)))


def _tell(lives: Sequence[Life], seconds: float) -> None:
    outcomes = sum((life.outcomes for life in lives), Counter[str]())
    table = Table("requests", "times", title=f"{len(lives)} seeds in {seconds:.0f} s")
    for outcome, times in outcomes.most_common():
        table.add_row(outcome, f"{times:,}")
    Console().print(table)
    wrong = [life for life in lives if life.wrong]
    for life in wrong[:TOLD]:
        print(f"wrong: python -m tests.simulation --seed {life.seed}   ({life.wrong})")
    print(f"{len(wrong)} of {len(lives)} seeds went wrong")


if __name__ == "__main__":
    main()

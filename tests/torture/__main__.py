"""`python -m tests.torture [what ...] [--scale N] [--seed N]`; fails when anything is violated."""

import argparse
import logging
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.torture import clock, kills, mixed, outages, race

KINDS: dict[str, Callable[[int, int], list[str]]] = {
    "race": race.run,
    "kills-sqlite": partial(kills.run, kind="SQLite"),
    "kills-postgresql": partial(kills.run, kind="PostgreSQL"),
    "outages": outages.run,
    "clock": clock.run,
    "mixed": mixed.run,
}
"""What can be tortured: each takes a scale and a seed, and gives what was violated."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("what", nargs="*", choices=[*KINDS, []], help="all of them, if none")
    parser.add_argument("--scale", type=int, default=1, help="how many times the usual rounds")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    told = parser.parse_args()
    logging.disable(logging.WARNING)
    violations: list[str] = []
    for name in told.what or KINDS:
        print(f"{name}: scale {told.scale}, seed {told.seed}", flush=True)
        begun = time.monotonic()
        found = KINDS[name](told.scale, told.seed)
        print(f"{name}: {len(found)} violations in {time.monotonic() - begun:.0f} s", flush=True)
        violations += found
    for each in violations:
        print(f"VIOLATION: {each}")
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()

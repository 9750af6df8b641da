"""`python -m tests.seeds [part of a name]`: puts one bug at a time into a copy, and tests it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.seeds import REPOSITORY, Seed, seeds

PARALLEL = 2
LONGEST_SECONDS = 300
LEDGER = "tests/gateway/ledger"
NO_POSTGRES = "-k", "not postgresql"
SETS: dict[str, tuple[str, ...]] = {
    "ledger": (
        f"{LEDGER}/test_limits.py",
        f"{LEDGER}/test_periods.py",
        f"{LEDGER}/test_claims_raced.py",
        f"{LEDGER}/test_histories.py",
        "tests/gateway/test_ledger.py",
        *NO_POSTGRES,
    ),
    "writer": ("tests/gateway/test_writer.py", "tests/gateway/test_ledger.py", *NO_POSTGRES),
    "recovery": ("tests/gateway/test_recovery.py", *NO_POSTGRES),
    "periods": ("tests/gateway/test_scopes.py",),
    "prices": ("tests/gateway/test_prices.py",),
    "access": ("tests/gateway/test_access.py",),
    "claims": (f"{LEDGER}/test_claims_raced.py",),
    "routing": ("tests/simulation",),
    "standings": ("tests/gateway/test_breakers.py", "tests/gateway/test_standings.py"),
    "race": (f"{LEDGER}/test_race.py", "-k", "postgresql"),
}
NOT_COPIED = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "data")


@dataclass(frozen=True)
class Verdict:
    caught_by: str | None
    seconds: float


def main() -> None:
    wanted = [seed for seed in seeds() if " ".join(sys.argv[1:]) in seed.name]
    with ThreadPoolExecutor(PARALLEL) as pool:
        unseeded = pool.map(tried, [None] * len(SETS), SETS)
        if broken := [each.caught_by for each in unseeded if each.caught_by]:
            sys.exit(f"these fail without any seed: {broken}")
        verdicts = list(pool.map(tried, wanted, [seed.tests for seed in wanted]))
    table = Table("seed", "file", "caught by", "s")
    for seed, verdict in zip(wanted, verdicts, strict=True):
        caught_by = verdict.caught_by or "NOBODY"
        table.add_row(seed.name, seed.file, caught_by, f"{verdict.seconds:.1f}")
    Console(width=200 if not sys.stdout.isatty() else None).print(table)
    caught = sum(each.caught_by is not None for each in verdicts)
    print(f"{caught} of {len(verdicts)} caught")
    sys.exit(caught != len(verdicts))


def tried(seed: Seed | None, tests: str) -> Verdict:
    """Which test fails first in a copy of the repository with this bug in it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(REPOSITORY, copy, ignore=NOT_COPIED)
        if seed is not None:
            seed.sow(copy / "gateway")
        begun = time.monotonic()
        caught_by = _first_failure(copy, SETS[tests])
        verdict = Verdict(caught_by, time.monotonic() - begun)
    name = seed.name if seed else f"without a seed: {tests}"
    print(f"{verdict.seconds:5.1f} s  {name}: {verdict.caught_by or 'nobody'}", flush=True)
    return verdict


def _first_failure(copy: Path, tests: tuple[str, ...]) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no"]
    environ = os.environ | {"PYTHONPATH": str(copy), "HYPOTHESIS_PROFILE": "seeds"}
    try:
        done = subprocess.run(
            [*command, "--timeout=60", *tests],
            cwd=copy,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not ended within {LONGEST_SECONDS} s"
    if done.returncode == 0:
        return None
    failed = re.search(r"^FAILED \S*?(test_\w+\.py::\S+)", done.stdout, re.MULTILINE)
    if failed is None and "Timeout" in done.stdout + done.stderr:
        return "a test that waited for 60 s"
    assert failed, done.stdout[-2000:] + done.stderr[-2000:]
    return failed[1]


if __name__ == "__main__":
    main()

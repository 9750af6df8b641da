"""Help and completions come at once: they load none of what a command works with."""

import subprocess
import sys
from typing import get_args

import pytest

from gateway.command.usage import BUCKETS, GROUPS
from gateway.metering.usage import Bucket, Group
from tests.doubles.running import ROOT

HEAVY = {"aiohttp", "alembic", "av", "granian", "litestar", "opentelemetry", "sqlalchemy", "torch"}


def started(*words: str, **variables: str) -> tuple[str, set[str]]:
    """What the command printed, and the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", *words],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    return done.stdout, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "words", ["", "serve", "check", "say", "generations list", "keys create", "usage show"]
)
def test_help_loads_nothing_heavy(words: str) -> None:
    told, loaded = started(*words.split(), "--help")
    assert "Usage: gateway" in told
    assert "click" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("gateway ", "plain,budgets"),
        ("gateway keys ro", "plain,rotate"),
        ("gateway usage show --by pro", "plain,provider"),
    ],
)
def test_completing_a_word_loads_nothing_heavy(words: str, completed: str) -> None:
    given = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    told, loaded = started(_GATEWAY_COMPLETE="bash_complete", **given)
    assert completed in told.splitlines()
    assert loaded & HEAVY == set()


def test_a_command_loads_what_it_works_with() -> None:
    """So the names above are those that an import has."""
    _, loaded = started("check", GATEWAY_CONFIG=str(ROOT / "config"))
    assert {"litestar", "sqlalchemy"} <= loaded


def test_usage_is_offered_by_what_it_can_be_told_by() -> None:
    assert get_args(Bucket) == BUCKETS
    assert get_args(Group) == GROUPS

"""The seeded bugs fit the code as it is; `make seeds` shows that each is found."""

import shutil
from pathlib import Path

import pytest

from tests.seeds import REPOSITORY, Seed, seeds
from tests.seeds.__main__ import SETS


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: seed.name)
def test_a_seed_changes_exactly_one_place(seed: Seed, tmp_path: Path) -> None:
    original = REPOSITORY / "gateway" / seed.file
    copy = tmp_path / seed.file
    copy.parent.mkdir(parents=True)
    shutil.copy(original, copy)
    seed.sow(tmp_path)
    assert copy.read_text() != original.read_text()
    compile(copy.read_text(), seed.file, "exec")
    assert seed.tests in SETS


def test_no_two_seeds_are_one() -> None:
    every = seeds()
    assert len(every) >= 36
    assert len({seed.name for seed in every}) == len(every)
    assert len({(seed.file, seed.old, seed.new) for seed in every}) == len(every)


def test_the_tests_that_shall_find_them_are_there() -> None:
    named = {each for chosen in SETS.values() for each in chosen if each.startswith("tests/")}
    assert [each for each in named if not (REPOSITORY / each).exists()] == []

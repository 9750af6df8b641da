"""The race of `make torture`, with few callers."""

from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.torture.race import Field, race


@pytest.mark.parametrize(
    ("kind", "processes", "callers"),
    [("sqlite", 1, 64), ("sqlite", 4, 2), ("postgresql", 4, 12)],
)
def test_nobody_passes_a_budget_that_many_race_for(
    new_database: NewDatabase, tmp_path: Path, kind: str, processes: int, callers: int
) -> None:
    field = Field(new_database(kind), processes, callers, rounds=4, seed=11)
    counts, violations = race(field, tmp_path)
    assert violations == []
    assert counts["Hold done"] >= field.rounds
    assert counts["Hold refused"] >= field.rounds

"""A few seeds of the simulation with every run of the tests; `make simulate` lives 10,000."""

import pytest

from tests.simulation.requests import live


@pytest.mark.parametrize("tens", range(6))
def test_nothing_goes_wrong_in_ten_seeds(tens: int) -> None:
    lives = [live(tens * 10 + each) for each in range(10)]
    assert [life for life in lives if life.wrong] == []
    assert sum(life.outcomes["answered"] for life in lives) > 100


def test_a_seed_determines_everything() -> None:
    assert live(7) == live(7)

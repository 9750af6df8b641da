"""A few seeds of the simulation with every run of the tests; `make simulate` lives 10,000."""

import pytest

from tests.simulation.world import World


@pytest.mark.parametrize("tens", range(6))
def test_nothing_goes_wrong_in_ten_seeds(tens: int) -> None:
    for seed in range(tens * 10, tens * 10 + 10):
        outcomes = World(seed).run()
        assert outcomes["asked"] > 0, f"seed {seed}"


def test_a_seed_determines_everything() -> None:
    assert World(7).run() == World(7).run()

"""The proof run of mixed offers, small."""

from tests.torture.mixed import proof


def test_nobody_notices_offers_that_are_slow_flapping_or_dead() -> None:
    assert proof(400, seed=1) == []

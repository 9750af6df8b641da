"""How a model's price is told in lists, whatever unit its provider counts in."""

import pytest

from gateway.endpoints.offers import pricing
from providers import Price


def test_a_price_that_is_not_known_is_never_told_as_nothing() -> None:
    told = pricing(Price("unknown"))
    assert told == {"per": "unknown", "prompt": "-1", "completion": "-1"}


@pytest.mark.parametrize(
    ("price", "prompt", "completion", "request_"),
    [
        (Price("free"), "0", "0", "0"),
        (Price("character", rate=15_000_000), "0.000015", "0", "0"),
        (Price("byte", rate=1), "0.000000000001", "0", "0"),
        (Price("token", input_rate=600_000, output_rate=12_000_000), "0.0000006", "0.000012", "0"),
        (Price("second", rate=250_000_000), "0", "0.00025", "0"),
        (Price("run", rate=16_000_000_000), "0", "0", "0.016"),
    ],
)
def test_a_price_is_told_in_its_own_unit_and_exactly(
    price: Price, prompt: str, completion: str, request_: str
) -> None:
    assert pricing(price) == {
        "per": price.per,
        "prompt": prompt,
        "completion": completion,
        "request": request_,
    }

"""A price's version: the same for the same terms, another for any other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import Price

PRICE = Price(per="character", rate=15, source="s", as_of="d")


@given(st.integers(0, 10**9), st.none() | st.text(max_size=20))
def test_equal_terms_give_equal_versions(rate: int, source: str | None) -> None:
    first, second = (Price(per="byte", rate=rate, source=source) for _ in range(2))
    assert first.version == second.version
    assert first == second


@pytest.mark.parametrize(
    "change",
    [
        {"per": "byte"},
        {"rate": 16},
        {"input_rate": 15},
        {"output_rate": 15},
        {"output_tokens_per_second": 15},
        {"count": "han_twice"},
        {"count": "without_tags"},
        {"credit_rate": 1},
        {"source": "t"},
        {"source": None},
        {"as_of": "e"},
    ],
)
def test_any_other_term_gives_another_version(change: dict[str, object]) -> None:
    assert replace(PRICE, **change).version != PRICE.version  # type: ignore[arg-type]  # fields


def test_a_version_is_short_and_stays_what_it_was() -> None:
    assert PRICE.version == "2e4d4a91ce425f70"

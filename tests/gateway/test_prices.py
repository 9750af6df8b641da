"""Prices: whole nano-USD, rounded up once, never below the exact amount; bounds that hold."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.prices import LEAD_MS, SLOWEST_MS_PER_CHARACTER, actual, upper_bound, usd
from gateway.routing.preferences import PriceCap
from providers import Price

rates = st.integers(0, 10**9)
texts = st.text(max_size=300)
spoken = st.integers(0, 3_600_000)
prices = st.one_of(
    st.builds(Price, per=st.sampled_from(["character", "byte", "second", "run"]), rate=rates),
    st.builds(
        Price,
        per=st.just("token"),
        input_rate=rates,
        output_rate=rates,
        output_tokens_per_second=st.integers(1, 100),
    ),
    st.just(Price(per="free")),
)
NO_BOUND = 10**30


def exact(price: Price, text: str, spoken_ms: int) -> Fraction:
    """The same in rational nano-USD, written down a second time."""
    seconds = Fraction(spoken_ms, 1000)
    size = len(text.encode())
    pico = {
        "character": Fraction(price.rate * len(text)),
        "byte": Fraction(price.rate * size),
        "second": price.rate * seconds,
        "run": Fraction(price.rate),
        "free": Fraction(0),
        "token": price.input_rate * size
        + price.output_rate * price.output_tokens_per_second * seconds,
    }
    return pico[price.per] / 1000


@given(prices, texts, spoken)
def test_a_cost_is_the_exact_amount_rounded_up_once(price: Price, text: str, ms: int) -> None:
    cost = actual(price, text, ms, NO_BOUND)
    assert type(cost) is int
    assert 0 <= cost - exact(price, text, ms) < 1


@given(prices, texts, texts)
def test_more_text_never_costs_less(price: Price, text: str, more: str) -> None:
    assert upper_bound(price, text + more) >= upper_bound(price, text)
    assert actual(price, text + more, 5000, NO_BOUND) >= actual(price, text, 5000, NO_BOUND)


@given(prices, texts, spoken, st.none() | st.floats(0.25, 4.0))
def test_what_it_came_to_is_never_above_its_bound(
    price: Price, text: str, ms: int, speed: float | None
) -> None:
    bound = upper_bound(price, text, speed)
    assert type(bound) is int
    assert actual(price, text, ms, bound) <= bound


@given(prices, texts, st.floats(0.25, 4.0))
def test_a_bound_covers_the_slowest_speech_and_offers_that_ignore_a_speed(
    price: Price, text: str, speed: float
) -> None:
    bound = upper_bound(price, text, speed)
    slowest = LEAD_MS + len(text) * SLOWEST_MS_PER_CHARACTER
    assert bound >= exact(price, text, slowest)
    assert bound >= exact(price, text, int(slowest / speed) if speed < 1 else slowest)


@given(texts, texts)
def test_instructions_count_only_where_tokens_are_paid(text: str, instructions: str) -> None:
    tokens = Price(per="token", input_rate=1000, output_rate=0, output_tokens_per_second=1)
    letters = Price(per="character", rate=1000)
    size = len(text.encode()) + len(instructions.encode())
    assert upper_bound(tokens, text, None, instructions) == size
    assert actual(tokens, text, 0, NO_BOUND, instructions) == size
    assert upper_bound(letters, text, None, instructions) == len(text)


@pytest.mark.parametrize(
    ("price", "nano"),
    [
        (Price(per="character", rate=15_000_000), 45_000),
        (Price(per="byte", rate=15_000_000), 75_000),
        (Price(per="run", rate=16_000_000_000), 16_000_000),
        (Price(per="second", rate=10**12), 2_000_000_000),
        (Price(per="character", rate=1), 1),
        (Price(per="free"), 0),
        (
            Price(
                per="token", input_rate=600_000, output_rate=12_000_000, output_tokens_per_second=20
            ),
            5 * 600 + 40 * 12_000,
        ),
    ],
)
def test_two_seconds_of_three_letters_cost_what_the_price_list_says(
    price: Price, nano: int
) -> None:
    assert actual(price, "aäü", 2000, NO_BOUND) == nano


@given(st.integers(-(10**30), 10**30))
def test_an_amount_in_words_is_exact(nano: int) -> None:
    told = usd(nano)
    assert Fraction(told) * 10**9 == nano
    assert "e" not in told.lower()
    assert "." not in told or not told.endswith(("0", "."))


@pytest.mark.parametrize(
    ("nano", "told"), [(0, "0"), (1, "0.000000001"), (-1_500_000_000, "-1.5"), (10**10, "10")]
)
def test_an_amount_reads_as_people_write_it(nano: int, told: str) -> None:
    assert usd(nano) == told


amounts = st.decimals(0, 10**9, places=12)


@given(st.none() | amounts, st.none() | amounts, st.integers(0, 10**6))
def test_a_cap_is_exact_and_rounded_down(
    million: Decimal | None, request: Decimal | None, characters: int
) -> None:
    caps = [] if million is None else [Fraction(million) * characters / 10**6]
    caps += [] if request is None else [Fraction(request)]
    cap = PriceCap(million, request).nano(characters)
    assert (cap is None) == (not caps)
    assert cap is None or 0 <= min(caps) * 10**9 - cap < 1

"""Prices: whole nano-USD, rounded up once, never below the exact amount; bounds that hold."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.prices import Cost, actual, dearness, upper_bound, usd
from gateway.metering.spoken import longest_ms
from gateway.routing.preferences import PriceCap
from providers import Count, Price

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
UNKNOWN = Price(per="unknown")
PICO = 10**12


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


def own(price: Price, text: str, ms: int, instructions: str | None = None) -> int:
    """What we compute ourselves, of a price that is known."""
    nano = actual(price, text, ms, instructions).nano
    assert nano is not None
    return nano


def bound(price: Price, text: str, speed: float | None = None, told: str | None = None) -> int:
    nano = upper_bound(price, text, longest_ms(text, speed), told)
    assert nano is not None
    return nano


@given(prices, texts, spoken)
def test_a_cost_is_the_exact_amount_rounded_up_once(price: Price, text: str, ms: int) -> None:
    cost = own(price, text, ms)
    assert type(cost) is int
    assert 0 <= cost - exact(price, text, ms) < 1


@given(prices, texts, texts)
def test_more_text_never_costs_less(price: Price, text: str, more: str) -> None:
    assert bound(price, text + more) >= bound(price, text)
    assert own(price, text + more, 5000) >= own(price, text, 5000)


@given(prices, texts, spoken, st.none() | st.floats(0.25, 4.0))
def test_what_is_heard_within_the_longest_time_costs_no_more_than_the_bound(
    price: Price, text: str, ms: int, speed: float | None
) -> None:
    heard = min(ms, longest_ms(text, speed))
    assert own(price, text, heard) <= bound(price, text, speed)


@pytest.mark.parametrize(
    ("price", "units", "nano"),
    [
        (Price(per="second", rate=10**9), 2, 2_000_000),
        (Price(per="token", output_rate=10**9, output_tokens_per_second=3), 6, 6_000_000),
    ],
)
def test_a_bound_covers_the_second_or_token_that_is_only_begun(
    price: Price, units: int, nano: int
) -> None:
    assert upper_bound(price, "a", 1001) == nano
    assert actual(price, "a", 1001, billed_units=units).nano == nano


def test_what_is_heard_for_longer_is_told_as_it_is() -> None:
    price = Price(per="second", rate=10**9)
    assert own(price, "a", 60_000) == 60_000_000 > bound(price, "a")


@given(texts, texts)
def test_instructions_count_only_where_tokens_are_paid(text: str, instructions: str) -> None:
    tokens = Price(per="token", input_rate=1000, output_rate=0, output_tokens_per_second=1)
    letters = Price(per="character", rate=1000)
    size = len(text.encode()) + len(instructions.encode())
    assert bound(tokens, text, None, instructions) == size
    assert own(tokens, text, 0, instructions) == size
    assert bound(letters, text, None, instructions) == len(text)


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
    assert own(price, "aäü", 2000) == nano


@pytest.mark.parametrize(
    ("count", "nano"),
    [("code_points", 20), ("han_twice", 7), ("without_tags", 5), ("without_marks", 20)],
)
def test_characters_are_counted_by_the_rule_of_their_price(count: Count, nano: int) -> None:
    price = Price(per="character", rate=1000, count=count)
    text = "<speak>漢字abc</speak>"
    assert own(price, text, 0) == bound(price, text) == nano


def test_a_price_that_is_not_known_is_never_nothing() -> None:
    assert upper_bound(UNKNOWN, "text", 1000) is None
    assert actual(UNKNOWN, "text", 1000) == Cost(nano=None, units=None)
    assert actual(UNKNOWN, "text", 1000, billed_units=4) == Cost(None, 4, reported=True)
    assert actual(UNKNOWN, "text", 1000, billed_nano=0) == Cost(0, None, reported=True)
    assert sorted([None, 5, 0], key=dearness) == [0, 5, None]


LETTER = Price(per="character", rate=15_000_000)
HUNDRED = "x" * 100
OWN = 1_500_000


@pytest.mark.parametrize(
    ("told", "drift"),
    [
        (OWN, False),
        (OWN + OWN // 200, False),
        (OWN - OWN // 100, False),
        (OWN + OWN // 100, False),
        (OWN + OWN // 100 + 1, True),
        (OWN - OWN // 50, True),
        (0, True),
        (OWN * 1000, True),
    ],
)
def test_the_providers_money_is_believed_and_drift_of_over_one_percent_is_flagged(
    told: int,
    drift: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert actual(LETTER, HUNDRED, 0, billed_nano=told) == Cost(told, 100, True, drift)


def test_money_wins_over_a_count_and_a_count_over_our_own() -> None:
    counted = actual(LETTER, HUNDRED, 0, billed_units=50)
    assert counted == Cost(OWN // 2, 50, reported=True, drift=True)
    both = actual(LETTER, HUNDRED, 0, billed_units=50, billed_nano=OWN)
    assert both == Cost(OWN, 50, reported=True)
    assert actual(LETTER, HUNDRED, 0) == Cost(OWN, 100)


def test_a_figure_that_could_not_be_read_leaves_our_own() -> None:
    told = actual(LETTER, HUNDRED, 0, billed_malformed=True)
    assert told == Cost(OWN, 100, malformed=True)


@given(prices, texts, spoken)
def test_our_own_count_reported_back_is_our_own_cost(price: Price, text: str, ms: int) -> None:
    ours = actual(price, text, ms - ms % 1000)
    again = actual(price, text, ms - ms % 1000, billed_units=ours.units)
    assert (again.nano, again.drift) == (ours.nano, False)


@given(prices, texts, spoken, st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_reported_units_never_cost_less(
    price: Price, text: str, ms: int, units: int, more: int
) -> None:
    fewer = actual(price, text, ms, billed_units=units).nano
    assert dearness(fewer) <= dearness(actual(price, text, ms, billed_units=units + more).nano)


@pytest.mark.parametrize(
    ("price", "units", "nano"),
    [
        (Price(per="byte", rate=1000), 7, 7),
        (Price(per="run", rate=1000), 2, 2),
        (Price(per="second", rate=1000), 3, 3),
        (Price(per="free"), 9, 0),
        (
            Price(per="token", input_rate=1000, output_rate=2000, output_tokens_per_second=9),
            10,
            2 + 20,
        ),
    ],
)
def test_a_reported_count_is_in_the_prices_own_unit(price: Price, units: int, nano: int) -> None:
    assert actual(price, "ab", 1000, billed_units=units).nano == nano


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


HALVES = Price(per="character", rate=1000, credit_rate=PICO // 2)
THIRDS = Price(per="character", rate=1000, credit_rate=3 * PICO)


@pytest.mark.parametrize(
    ("price", "text", "credits_", "units"),
    [
        (HALVES, "x" * 100, 50, 100),
        (HALVES, "x" * 99, 50, 100),
        (HALVES, "x", 1, 2),
        (HALVES, "", 0, 0),
        (THIRDS, "x" * 7, 21, 7),
        (THIRDS, "x" * 7, 20, 7),
        (THIRDS, "x" * 7, 19, 7),
        (THIRDS, "x" * 7, 18, 6),
    ],
)
def test_credits_become_the_characters_that_they_pay_for(
    price: Price, text: str, credits_: int, units: int
) -> None:
    cost = actual(price, text, 0, billed_units=credits_)
    assert (cost.nano, cost.units, cost.reported) == (units, units, True)


@given(texts, st.integers(1, 10 * PICO), rates)
def test_credits_for_our_own_count_are_no_drift_and_stay_within_the_bound(
    text: str, credit_rate: int, rate: int
) -> None:
    price = Price(per="character", rate=rate, credit_rate=credit_rate)
    told = -(-len(text) * credit_rate // PICO)
    cost = actual(price, text, 0, billed_units=told)
    assert not cost.drift
    assert cost.nano == own(price, text, 0) == bound(price, text)
    assert cost.units is not None
    assert len(text) <= cost.units < len(text) + 1 + Fraction(PICO, credit_rate)


def test_credits_that_differ_are_believed_and_flagged() -> None:
    assert actual(HALVES, "x" * 200, 0, billed_units=200) == Cost(400, 400, True, drift=True)


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

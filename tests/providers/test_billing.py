"""What an answer says that it bills: read strictly, and what cannot be read is no figure."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import Client, Receipt
from providers.billing import MOST_UNITS, MOST_USD, Bill, bill_told, read_bill
from tests.doubles.asking import ask, provider, saying
from tests.doubles.upstream import Upstream

HEADERS = {"billed_units_header": "x-units", "billed_usd_header": "X-USD"}
WHOM = provider("http://127.0.0.1:1", **HEADERS)
NOT_READ = Bill(malformed=True)


def read(said: str) -> Bill:
    return read_bill(httpx.Headers({b"x-usd": said.encode("latin-1")}), WHOM)


@given(st.decimals(0, MOST_USD, places=12))
def test_money_is_exact_and_rounded_up_to_a_nano(usd: Decimal) -> None:
    bill = read(f"{usd:f}")
    assert bill.nano is not None
    assert 0 <= bill.nano - Fraction(usd) * 10**9 < 1
    assert not bill.malformed


@given(st.text(st.characters(max_codepoint=255), max_size=20) | st.text("01.-+e", max_size=9))
def test_whatever_is_said_is_an_amount_or_no_figure(said: str) -> None:
    bill = read(said)
    assert (bill.nano is None) == bill.malformed
    assert bill.nano is None or 0 <= bill.nano <= MOST_USD * 10**9


@pytest.mark.parametrize(
    "said",
    [
        *("", "-1", "-0.5", "+1", "abc", "1e-5", "NaN", "Infinity", "1,5", "1_000", "$1", "0x10"),
        *("1.", ".5", "1 2", "1\n", "1/3", str(MOST_USD + 1), "9" * 13, "9" * 10_000),
    ],
)
def test_what_is_no_plausible_amount_counts_as_not_said(said: str) -> None:
    assert read(said) == NOT_READ
    assert read_bill(httpx.Headers({"x-units": said.replace("1001", "99999999")}), WHOM) == NOT_READ


def test_a_figure_said_twice_is_none() -> None:
    assert read_bill(httpx.Headers([("x-units", "1"), ("x-units", "2")]), WHOM) == NOT_READ


@pytest.mark.parametrize(
    ("said", "units"),
    [("0", 0), ("17", 17), ("007", 7), ("12.5", 13), (str(MOST_UNITS), MOST_UNITS)],
)
def test_a_count_is_read_and_part_of_a_unit_is_a_whole_one(said: str, units: int) -> None:
    assert read_bill(httpx.Headers({"X-Units": said}), WHOM) == Bill(units=units)


def test_a_good_figure_stands_beside_a_bad_one() -> None:
    headers = httpx.Headers({"x-units": "many", "x-usd": "0.01"})
    assert read_bill(headers, WHOM) == Bill(nano=10_000_000, malformed=True)


def test_nothing_is_read_where_the_row_names_no_header() -> None:
    headers = httpx.Headers({"x-units": "1", "x-usd": "2"})
    assert read_bill(headers, provider("http://127.0.0.1:1")) == Bill()


@pytest.mark.parametrize(
    ("bill", "expected"),
    [
        ([], Receipt("up-1")),
        (["x-units: 12"], Receipt("up-1", billed_units=12)),
        (["x-usd: 0.00018"], Receipt("up-1", billed_nano=180_000)),
        (["x-usd: free"], Receipt("up-1", billed_malformed=True)),
    ],
)
async def test_the_receipt_carries_the_bill(
    client: Client, upstream: Upstream, bill: list[str], expected: Receipt
) -> None:
    whom = provider(upstream.address("billing"), **HEADERS)
    _, receipt = await ask(client, whom, saying("billed", options={"bill": bill}))
    assert receipt == replace(expected, length_told=True)


@given(st.integers(0, 10**17), st.integers(-25, -14))
def test_a_number_of_a_body_is_exact_however_it_is_written(digits: int, exponent: int) -> None:
    usd = Decimal(f"{digits}e{exponent}")
    bill = bill_told(usd=usd)
    assert bill.nano is not None
    assert 0 <= bill.nano - Fraction(usd) * 10**9 < 1


@pytest.mark.parametrize(
    "said",
    [0.5, True, "0.5", [], Decimal("NaN"), Decimal("Infinity"), Decimal("1e-999999"), -1, 10**60],
)
def test_what_is_no_exact_amount_in_a_body_counts_as_not_said(said: object) -> None:
    assert bill_told(units=said) == NOT_READ
    assert bill_told() == Bill()

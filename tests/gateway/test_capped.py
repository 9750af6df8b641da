"""Providers that bill more than they may: the key pays its cap at most, and the books the truth."""

import httpx
import pytest

from gateway.metering.prices import usd
from tests.doubles.books import Books, Key, settled

TEXT = "x" * 100
OWN = 1_500_000
"""Nano-USD of TEXT at the offer's own price."""
CAP = 2_000_000
CAPS = [{"request": "0.002"}, "20", {"prompt": "20", "request": "0.01"}]
"""All of them CAP, for TEXT."""


def speak(client: httpx.Client, bill: str, cap: object = None) -> dict[str, object]:
    """The record of TEXT, said under a cap and billed so."""
    wishes = {"max_price": cap, "options": {"billing": {"bill": [bill]}}}
    body = {"model": "test/billing", "input": TEXT, "provider": wishes}
    response = client.post("/v1/audio/speech", json=body)
    assert response.status_code == 200, response.text
    return settled(client, response.headers["x-generation-id"])


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize(("bill", "billed"), [("x-usd: 5", 5 * 10**9), ("x-units: 1000", 10 * OWN)])
def test_beyond_its_cap_a_key_is_charged_nothing_and_the_liability_is_told_in_full(  # noqa: PLR0913, PLR0917  # the table and its fixtures
    mine: httpx.Client, key: Key, books: Books, cap: object, bill: str, billed: int
) -> None:
    record = speak(mine, bill, cap)
    assert (record["cost"], record["liability"]) == (usd(CAP), usd(billed))
    assert {"capped", "drift"} <= set(record["flags"])  # type: ignore[call-overload]  # a list
    assert books.charged(key.hash) == (CAP, len(TEXT))
    books.assert_balanced(key.hash)


@pytest.mark.parametrize(
    ("bill", "nano"),
    [
        ("x-usd: 0.002", CAP),
        ("x-usd: 0.0001", 100_000),
        ("x-units: 120", 1_800_000),
        ("x-none: 1", OWN),
    ],
)
def test_up_to_its_cap_it_is_charged_what_was_billed(
    mine: httpx.Client, key: Key, books: Books, bill: str, nano: int
) -> None:
    record = speak(mine, bill, "20")
    assert (record["cost"], record["liability"]) == (usd(nano), usd(nano))
    assert "capped" not in str(record["flags"])
    assert books.charged(key.hash) == (nano, len(TEXT))
    books.assert_balanced(key.hash)


def test_without_a_cap_nothing_is_capped(mine: httpx.Client, key: Key, books: Books) -> None:
    record = speak(mine, "x-usd: 5")
    assert record["cost"] == record["liability"] == "5"
    assert "capped" not in str(record["flags"])
    assert books.charged(key.hash) == (5 * 10**9, len(TEXT))
    books.assert_balanced(key.hash)


def test_what_a_key_has_used_is_what_it_was_charged(mine: httpx.Client) -> None:
    speak(mine, "x-usd: 5", "20")
    assert mine.get("/v1/key").json()["data"]["usage"] == CAP / 10**9
    total = mine.get("/v1/usage").json()["total"]
    assert total["cost"] == usd(CAP)

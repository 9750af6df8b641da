"""Listing: which models a client wants to see, and in which order."""

from math import inf

import pytest

from gateway.endpoints.listing import Shown, Wish, in_order
from gateway.routing.standings import Standing
from providers import Offer, Price
from tests.doubles.offers import offer, seen

UNKNOWN = Price(per="unknown")
TOKENS = Price(per="token", input_rate=600_000, output_rate=12_000_000, output_tokens_per_second=20)
SECONDS = Price(per="second", rate=10**9)


def shown(*offers: Offer) -> Shown:
    return Shown(offers[0].model, offers)


def test_prices_in_every_unit_are_compared_by_the_most_that_a_text_may_cost() -> None:
    dear, cheap = shown(offer("x", usd_per_million=30)), shown(offer("x", usd_per_million=4))
    assert (dear.usd_per_million, cheap.usd_per_million) == (30, 4)
    assert shown(offer("x", price=UNKNOWN)).usd_per_million == inf
    assert shown(offer("x", price=TOKENS)).usd_per_million > 15.8
    assert shown(offer("x", price=SECONDS)).usd_per_million > 62
    assert shown(offer("x", price=UNKNOWN), offer("y")).usd_per_million == 0


def test_a_name_costs_what_its_first_model_costs() -> None:
    chain = shown(offer("x", "a/first", 30), offer("y", "a/first", 20), offer("z", "a/next"))
    assert chain.usd_per_million == 20


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        (Wish(), True),
        (Wish(parameters=frozenset({"voice", "seed"})), True),
        (Wish(parameters=frozenset({"seed", "speed"})), False),
        (Wish(parameters=frozenset({"streaming"})), False),
        (Wish(providers=frozenset({"y", "z"})), True),
        (Wish(authors=frozenset({"b"})), False),
        (Wish(zdr=True), False),
        (Wish(q="m"), True),
        (Wish(max_price=3.9), False),
    ],
)
def test_a_wish_is_met_by_any_one_offer(wish: Wish, wanted: bool) -> None:  # noqa: FBT001  # expected
    one = offer("x", "a/m", 4, capabilities=frozenset({"seed", "streaming"}))
    other = offer("y", "a/m", 5, capabilities=frozenset({"speed"}), data_policy="retained")
    assert wish.wants(shown(one, other)) == wanted


def test_what_was_never_heard_comes_after_what_was() -> None:
    among = [shown(offer(name, f"a/{name}")) for name in ("cold", "slow", "fast")]
    known = {"slow": seen(900, factor=0.9), "fast": seen(100, factor=0.1)}

    def of(each: Offer) -> Standing:
        return known.get(each.provider, Standing())

    for sort in ("latency-low-to-high", "throughput-high-to-low"):
        ordered = [each.name for each in in_order(among, sort, of)]
        assert ordered == ["a/fast", "a/slow", "a/cold"]
    assert in_order(among, "top-weekly", of) == among

"""Policies: what goes first by price, latency, quality, throughput, availability, and by lot."""

from collections import Counter

import pytest

from gateway.routing.plan import Moment, Plan
from gateway.routing.policies import SORT_KEYS, Policy
from gateway.routing.standings import Standing
from providers import Offer, Price
from tests.doubles.offers import POLICIES, Known, catalog, moment, offer, order, plan, seen

AMONG = catalog(
    offer("plain", "a/m", 10, quality=20.0),
    offer("fine", "a/m", 30, quality=90.0),
    offer("same-price", "a/m", 10, quality=30.0),
    offer("unrated", "a/m", 20),
)
LIVED = {
    "plain": seen(900, 0.1),
    "fine": seen(100, 0.9),
    "same-price": seen(500, 0.5),
    "unrated": seen(700, 0.7, availability=0.1),
}
"""plain is slow to begin and quick to end, fine the reverse, unrated mostly fails."""
UNPRICED = offer("unpriced", price=Price("unknown"))
DRAWS = 4000


def draws(*offers: Offer, **wishes: object) -> list[Plan]:
    """Plans of many requests at one moment, which differ in their luck alone."""
    at = moment()
    return [plan(catalog(*offers), policy="balanced", at=at, **wishes) for _ in range(DRAWS)]


def first(plans: list[Plan]) -> dict[str, float]:
    """How often who went first."""
    counted = Counter(order(each)[0] for each in plans)
    return {name: times / len(plans) for name, times in counted.items()}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("price", ["same-price", "plain", "unrated", "fine"]),
        ("quality", ["fine", "same-price", "plain", "unrated"]),
        ("latency", ["fine", "same-price", "unrated", "plain"]),
        ("throughput", ["plain", "same-price", "unrated", "fine"]),
        ("availability", ["plain", "same-price", "fine", "unrated"]),
    ],
)
def test_each_policy_has_its_order(policy: Policy, expected: list[str]) -> None:
    made = plan(AMONG, policy=policy, at=moment(Known(LIVED)))
    assert order(made) == expected
    assert {choice.share for choice in made.choices} == {None}


def test_of_two_that_begin_alike_the_one_that_is_quicker_to_end_goes_first() -> None:
    standings = Known({"x": seen(100, 0.9), "y": seen(100, 0.2)})
    among = catalog(offer("x"), offer("y"))
    assert order(plan(among, policy="latency", at=moment(standings))) == ["y", "x"]


def test_there_is_a_key_for_every_policy() -> None:
    assert set(SORT_KEYS) == set(POLICIES)


def test_lots_go_by_the_inverse_square_of_what_the_text_may_cost() -> None:
    plans = draws(offer("dear", usd_per_million=30), offer("cheap", usd_per_million=10))
    assert first(plans) == pytest.approx({"cheap": 0.9, "dear": 0.1}, abs=0.02)
    told = {choice.offer.provider: choice.share for choice in plans[0].choices}
    assert told == pytest.approx({"cheap": 0.9, "dear": 0.1})


def test_lots_are_drawn_for_the_places_behind_the_first_too() -> None:
    plans = draws(
        *(offer(name, usd_per_million=usd) for name, usd in (("x", 1), ("y", 1), ("z", 2)))
    )
    assert first(plans) == pytest.approx({"x": 4 / 9, "y": 4 / 9, "z": 1 / 9}, abs=0.03)
    behind = Counter(order(each)[1] for each in plans if order(each)[0] == "x")
    assert behind["y"] / sum(behind.values()) == pytest.approx(0.8, abs=0.04)


def test_what_is_free_goes_first_in_any_order_and_what_nobody_knows_last() -> None:
    paid = offer("paid", usd_per_million=1)
    plans = draws(UNPRICED, paid, offer("x"), offer("y"))
    assert first(plans) == pytest.approx({"x": 0.5, "y": 0.5}, abs=0.03)
    assert {tuple(order(each)[2:]) for each in plans} == {("paid", "unpriced")}
    told = {choice.offer.provider: choice.share for choice in plans[0].choices}
    assert told == {"x": 0.5, "y": 0.5, "paid": 0.0, "unpriced": 0.0}


def test_lots_leave_the_order_of_models_and_the_callers_own_alone() -> None:
    models = (offer("x", "a/first", 90), offer("y", "a/second", 1), offer("z", "a/second", 1))
    assert first(draws(*models)) == {"x": 1.0}
    chosen = draws(*models, order=("x", "z"), partition="none")
    assert {tuple(order(each)) for each in chosen} == {("x", "z", "y")}
    assert [choice.share for choice in chosen[0].choices] == [1.0, 0.0, 0.0]


def test_the_same_luck_makes_the_same_plan() -> None:
    orders = {tuple(order(plan(AMONG, policy="balanced", at=moment(seed=7)))) for _ in range(9)}
    assert len(orders) == 1


@pytest.mark.parametrize("policy", ["latency", "throughput"])
def test_what_nothing_is_known_of_goes_behind_what_is_known_the_cheapest_first(
    policy: Policy,
) -> None:
    known = moment(Known({"plain": LIVED["plain"]}))
    assert order(plan(AMONG, policy=policy, at=known)) == ["plain", "same-price", "unrated", "fine"]
    assert order(plan(AMONG, policy=policy))[0] == "same-price"


def explored(at: Moment, policy: Policy = "latency", **wishes: object) -> float:
    """How often the offer that nothing is known of goes first."""
    among = catalog(offer("known", usd_per_million=1), offer("cold", usd_per_million=2))
    plans = [plan(among, policy=policy, at=at, **wishes) for _ in range(DRAWS)]
    return first(plans).get("cold", 0.0)


WITH_ONE_COLD = Known({"known": seen(100)})


@pytest.mark.parametrize("policy", ["latency", "throughput"])
@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_a_bounded_share_of_requests_finds_out_what_is_not_known(
    policy: Policy, share: float
) -> None:
    at = moment(WITH_ONE_COLD, explore_share=share)
    assert explored(at, policy) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize(
    "wishes", [{"allow_fallbacks": False}, {"order": ("known",)}, {"ignore": ("cold",)}]
)
def test_nothing_is_explored_where_the_caller_has_chosen(wishes: dict[str, object]) -> None:
    assert explored(moment(WITH_ONE_COLD, explore_share=1.0), **wishes) == 0.0


@pytest.mark.parametrize("policy", ["balanced", "price", "quality", "availability"])
def test_only_policies_that_go_by_speed_explore(policy: Policy) -> None:
    at = moment(WITH_ONE_COLD, explore_share=1.0)
    among = catalog(offer("known"), UNPRICED)
    assert order(plan(among, policy=policy, at=at)) == ["known", "unpriced"]


def test_no_stranger_of_a_later_model_goes_before_the_model_that_was_asked_for() -> None:
    among = catalog(offer("known", "a/first"), offer("cold", "a/second"))
    at = moment(WITH_ONE_COLD, explore_share=1.0)
    assert order(plan(among, policy="latency", at=at)) == ["known", "cold"]


def test_who_has_never_been_heard_is_cold() -> None:
    assert Standing(attempts=5, failures={"TimedOut": 5}).is_cold
    assert not seen(100).is_cold


def test_lots_are_drawn_among_those_that_are_well() -> None:
    among = catalog(offer("ailing", "a/m", 1), offer("well", "a/m", 30))
    standings = Known({"ailing": Standing(availability=0.7)})
    made = plan(among, policy="balanced", at=moment(standings))
    assert order(made) == ["well", "ailing"]
    assert [each.share for each in made.choices] == [1.0, 0.0]

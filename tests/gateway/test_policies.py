"""Policies: what goes first by price, latency, quality, throughput and availability."""

import pytest

from gateway.routing.policies import SORT_KEYS, Policy
from gateway.routing.standings import Standings
from tests.doubles.offers import POLICIES, catalog, offer, order, plan

AMONG = catalog(
    offer("plain", "a/m", 10, quality=20.0),
    offer("fine", "a/m", 30, quality=90.0),
    offer("same-price", "a/m", 10, quality=30.0),
    offer("unrated", "a/m", 20),
)


def lived() -> Standings:
    """plain is slow to begin and quick to end, fine the reverse, unrated mostly fails."""
    standings = Standings()
    standings.heard("plain:a/m", 0, first_audio_ms=900, factor=0.1)
    standings.heard("fine:a/m", 0, first_audio_ms=100, factor=0.9)
    standings.heard("same-price:a/m", 0, first_audio_ms=500, factor=0.5)
    standings.heard("unrated:a/m", 0, first_audio_ms=700, factor=0.7)
    for _ in range(9):
        standings.failed("unrated:a/m", 0)
    return standings


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
    assert order(plan(AMONG, policy=policy, standings=lived())) == expected


def test_there_is_a_key_for_every_policy() -> None:
    assert set(SORT_KEYS) == set(POLICIES)


@pytest.mark.parametrize("policy", ["latency", "throughput"])
def test_a_stranger_goes_first_and_one_that_only_fails_goes_last(policy: Policy) -> None:
    standings = lived()
    among = catalog(*AMONG.models["a/m"], offer("stranger", "a/m", 99))
    assert order(plan(among, policy=policy, standings=standings))[0] == "stranger"
    standings.failed("stranger:a/m", 0)
    assert order(plan(among, policy=policy, standings=standings))[-1] == "stranger"


def test_failures_fade_by_half_in_thirty_seconds() -> None:
    standings = Standings()
    for _ in range(8):
        standings.failed("x", 100.0)
    standings.heard("x", 130.0, first_audio_ms=50, factor=None)
    standing = standings.of("x")
    assert standing.failures == pytest.approx(4)
    assert standing.availability() == pytest.approx(3 / 7)
    assert standing.real_time_factor is None


def test_speed_is_smoothed_toward_what_is_seen() -> None:
    standings = Standings()
    standings.heard("x", 0.0, first_audio_ms=100, factor=0.5)
    standings.heard("x", 0.0, first_audio_ms=200, factor=1.0)
    assert standings.of("x").first_audio_ms == pytest.approx(120)
    assert standings.of("x").real_time_factor == pytest.approx(0.6)


def test_looking_at_an_offer_does_not_make_it_known() -> None:
    standings = Standings()
    standings.of("x").failures = 5
    assert standings.of("x").failures == 0

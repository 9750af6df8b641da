"""Standings: grants and their places, credentials in turn, and what keeps an offer from asking."""

from collections import Counter
from random import Random

import pytest

from gateway.routing.standings import Ending, Grant, Rest, Standings
from gateway.settings import Load
from providers import (
    Credential,
    NotOffered,
    Overloaded,
    Provider,
    ProviderError,
    RateLimited,
)
from tests.doubles.offers import offer

OFFER = offer("acme")
HEARD = Ending(first_audio_ms=100.0, real_time_factor=0.2)
KEYS = ("KEY_1", "KEY_2", "KEY_3")


def acme(*keys: str) -> Provider:
    credentials = tuple(Credential(each, "secret") for each in keys)
    return Provider("acme", "openai_speech", "http://127.0.0.1:1", credentials)


def standings(**load: int) -> Standings:
    return Standings(load=Load(**load), random=Random(1))


def ask(
    of: Standings, *keys: str, now: float = 0.0, desperate: bool = False, voice: str = "alloy"
) -> Grant | Rest:
    return of.grant(acme(*keys), OFFER, voice, now, desperate=desperate)


def granted(of: Standings, *keys: str, now: float = 0.0) -> Grant:
    got = ask(of, *keys, now=now)
    assert isinstance(got, Grant)
    return got


def fail(of: Standings, error: ProviderError, *keys: str, times: int = 1, now: float = 0.0) -> None:
    for _ in range(times):
        of.ended(granted(of, *keys, now=now), Ending(error), now)


def had(of: Standings, *keys: str, now: float = 0.0) -> str:
    """Whose turn it was; it ended at once."""
    got = granted(of, *keys, now=now)
    of.ended(got, HEARD, now)
    return used(got)


def used(got: Grant | Rest) -> str:
    assert isinstance(got, Grant)
    return got.credential.variable if got.credential else ""


def test_looking_at_an_offer_does_not_make_it_known() -> None:
    of = standings()
    assert of.of("acme:a/m", 0.0) == Standings().of("other:a/m", 0.0)
    assert of.of("acme:a/m", 0.0).is_cold
    assert of.of("acme:a/m", 0.0).availability == 1.0


def test_what_ended_is_told() -> None:
    of = standings()
    of.ended(granted(of), HEARD, 0.0)
    fail(of, Overloaded("500"))
    told = of.of(OFFER.name, 0.0)
    assert (told.attempts, told.uptime_5m) == (2, 50.0)
    assert told.failures == {"provider_overloaded": 1}


def test_a_place_is_given_back_once_though_two_grants_are_alike() -> None:
    of = standings()
    first, second = granted(of), granted(of)
    assert first == second
    of.ended(first, HEARD, 0.0)
    of.ended(first, HEARD, 0.0)
    assert of.of(OFFER.name, 0.0).in_flight == 1
    of.ended(second, Ending(), 0.0)
    told = of.of(OFFER.name, 0.0)
    assert (told.in_flight, told.attempts) == (0, 1)


def test_credentials_are_used_in_turn() -> None:
    of = standings()
    assert [used(ask(of, *KEYS)) for _ in range(6)] == [*KEYS, *KEYS]


def test_those_that_may_be_asked_share_evenly_while_one_rests() -> None:
    of = standings()
    fail(of, RateLimited("429", wait=60.0), *KEYS)
    seen = Counter(had(of, *KEYS) for _ in range(10))
    assert seen == {"KEY_2": 5, "KEY_3": 5}


def test_a_rate_limit_closes_the_credential_s_gate_and_not_its_breaker() -> None:
    of = standings()
    fail(of, RateLimited("429", wait=5.0), "KEY_1")
    rest = ask(of, "KEY_1", desperate=True)
    assert rest == Rest(5.0, "its rate limit is reached")
    assert isinstance(ask(of, "KEY_1", now=5.0), Grant)


def test_where_all_credentials_rest_the_shortest_is_told_and_a_breaker_is_not_hidden() -> None:
    of = standings()
    for _ in range(5):
        of.ended(granted(of, "KEY_1"), Ending(Overloaded("500")), 0.0)
    fail(of, RateLimited("429", wait=2.0), "KEY_2")
    rest = ask(of, "KEY_1", "KEY_2")
    assert rest == Rest(2.0, "its rate limit is reached", is_broken=True)
    assert rest == of.resting(acme("KEY_1", "KEY_2"), OFFER, "alloy", 0.0)
    assert used(ask(of, "KEY_1", "KEY_2", desperate=True)) == "KEY_1"


def test_the_desperate_prefer_a_credential_whose_breaker_is_closed() -> None:
    of = standings()
    fail(of, Overloaded("500"), "KEY_1", times=5)
    assert [used(ask(of, "KEY_1", "KEY_2", desperate=True)) for _ in range(3)] == ["KEY_2"] * 3


def test_a_breaker_knows_its_own_offer_and_credential_only() -> None:
    of, other = standings(), offer("acme", "a/other")
    fail(of, Overloaded("500"), "KEY_1", times=5)
    assert isinstance(ask(of, "KEY_1"), Rest)
    assert isinstance(ask(of, "KEY_2"), Grant)
    assert isinstance(of.grant(acme("KEY_1"), other, "alloy", 0.0), Grant)


def test_a_voice_that_is_gone_leaves_the_others() -> None:
    of = standings()
    fail(of, NotOffered("404"), "KEY_1")
    assert isinstance(ask(of, "KEY_2"), Rest)
    assert isinstance(ask(of, "KEY_1", voice="echo"), Grant)


def test_a_full_offer_says_so_and_takes_the_next_when_one_leaves() -> None:
    of = standings(offer_concurrent=2)
    first, _ = granted(of), granted(of)
    rest = ask(of, desperate=True)
    assert isinstance(rest, Rest)
    assert (rest.is_full, of.resting(acme(), OFFER, "alloy", 0.0)) == (True, rest)
    of.ended(first, Ending(), 0.0)
    assert isinstance(ask(of), Grant)


def test_a_full_offer_takes_no_probe_s_place() -> None:
    of = standings(offer_concurrent=1)
    fail(of, Overloaded("500"), times=5)
    other = of.grant(acme("KEY_2"), OFFER, "alloy", 20.0)
    assert isinstance(other, Grant)
    full = ask(of, now=20.0)
    assert isinstance(full, Rest)
    assert full.is_full
    of.ended(other, Ending(), 20.0)
    assert granted(of, now=20.0).is_probe


@pytest.mark.parametrize("now", [0.0, 5.0, 20.0, 40.0])
def test_asking_whether_it_rests_takes_nothing(now: float) -> None:
    asked, left = standings(), standings()
    for each in (asked, left):
        fail(each, Overloaded("500"), *KEYS, times=15)
    for _ in range(100):
        asked.resting(acme(*KEYS), OFFER, "alloy", now)
    after = [ask(each, *KEYS, now=now) for each in (asked, left) for _ in range(4)]
    assert after[:4] == after[4:]


def test_a_provider_that_is_left_alone_is_asked_by_nobody_until_it_is_back() -> None:
    of = standings()
    of.leave_alone("acme", "it is loading")
    for desperate in (False, True):
        rest = ask(of, "KEY_1", desperate=desperate)
        assert isinstance(rest, Rest)
        assert (rest.reason, rest.is_broken, rest.is_full) == ("it is loading", False, False)
    assert of.resting(acme("KEY_1"), OFFER, "alloy", 0.0) == rest
    of.leave_alone("acme", None)
    of.leave_alone("acme", None)
    assert of.resting(acme("KEY_1"), OFFER, "alloy", 0.0) is None
    granted(of, "KEY_1")

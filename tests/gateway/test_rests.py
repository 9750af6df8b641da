"""Rests: who is left alone after which refusal, for how long, and what ends the doubling."""

import pytest

from gateway.routing.rests import Rests, Whom
from providers import (
    CredentialRefused,
    NotOffered,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    Unreachable,
)

WHOM = Whom("acme", "acme:a/m", "alloy", "KEY_1")
OTHERS = {
    "voice": WHOM._replace(voice="echo"),
    "offer": WHOM._replace(offer="acme:a/n"),
    "credential": WHOM._replace(variable="KEY_2"),
    "provider": WHOM._replace(provider="other", offer="other:a/m"),
}


def after(error: ProviderError, *, whom: Whom = WHOM) -> float:
    rests = Rests()
    rests.failed(WHOM, error, 0.0, 0.0)
    rest = rests.of(whom, 0.0)
    return rest.seconds if rest else 0.0


@pytest.mark.parametrize(
    ("error", "seconds", "rest_too"),
    [
        (RateLimited("429"), 1, {"voice", "offer"}),
        (RateLimited("429", wait=30.0), 30, {"voice", "offer"}),
        (QuotaExhausted("402"), 300, {"voice", "offer"}),
        (CredentialRefused("401", status=401), 300, {"voice", "offer"}),
        (CredentialRefused("403", status=403), 600, set()),
        (NotOffered("404"), 600, {"credential"}),
        (Overloaded("503", wait=7.0), 7, {"voice"}),
    ],
)
def test_a_refusal_reaches_as_far_as_its_cause(
    error: ProviderError, seconds: float, rest_too: set[str]
) -> None:
    assert after(error) == seconds
    assert {name for name, whom in OTHERS.items() if after(error, whom=whom)} == rest_too


@pytest.mark.parametrize(
    "error", [Overloaded("500"), Refused("400"), Unreachable("dns"), RateLimited("429", wait=-4.0)]
)
def test_other_failures_rest_nobody(error: ProviderError) -> None:
    assert after(error) == 0


@pytest.mark.parametrize(("asked", "kept"), [(0.0, 0), (119.0, 119), (9_999.0, 120)])
def test_a_provider_is_obeyed_for_two_minutes_at_most(asked: float, kept: float) -> None:
    assert after(RateLimited("429", wait=asked)) == kept


@pytest.mark.parametrize(
    ("error", "first", "longest"),
    [(RateLimited("429"), 1, 60), (QuotaExhausted("402"), 300, 3600)],
)
def test_each_refusal_after_a_rest_doubles_the_next(
    error: ProviderError, first: float, longest: float
) -> None:
    rests, now, seen = Rests(), 0.0, []
    for _ in range(100):
        rests.failed(WHOM, error, now, now)
        rest = rests.of(WHOM, now)
        assert rest is not None
        seen.append(rest.seconds)
        now += rest.seconds
    assert seen == pytest.approx([min(first * 2**times, longest) for times in range(100)])


def test_a_crowd_that_is_refused_at_once_doubles_nothing() -> None:
    rests = Rests()
    for _ in range(50):
        rests.failed(WHOM, RateLimited("429"), since=0.0, now=1.0)
    rest = rests.of(WHOM, 1.0)
    assert rest is not None
    assert rest.seconds == 1


def test_a_shorter_wait_told_later_does_not_open_the_gate() -> None:
    rests = Rests()
    rests.failed(WHOM, RateLimited("429", wait=60.0), 0.0, 0.0)
    rests.failed(WHOM, RateLimited("429", wait=1.0), 0.0, 1.0)
    assert rests.of(WHOM, 59.0) is not None
    assert rests.of(WHOM, 60.0) is None


def test_a_success_ends_the_doubling_but_not_the_rest() -> None:
    rests = Rests()
    rests.failed(WHOM, QuotaExhausted("402"), 0.0, 0.0)
    rests.heard(WHOM, since=0.0)  # sent before the refusal came
    assert rests.of(WHOM, 1.0) is not None
    rests.heard(WHOM, since=300.0)
    rests.failed(WHOM, QuotaExhausted("402"), 301.0, 301.0)
    rest = rests.of(WHOM, 301.0)
    assert rest is not None
    assert rest.seconds == 300


def test_of_two_reasons_the_longer_is_told() -> None:
    rests = Rests()
    rests.failed(WHOM, RateLimited("429", wait=5.0), 0.0, 0.0)
    rests.failed(WHOM, NotOffered("404"), 0.0, 0.0)
    rest = rests.of(WHOM, 0.0)
    assert rest is not None
    assert (rest.seconds, rest.reason) == (600, "it does not know this model or voice")

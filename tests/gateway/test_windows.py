"""Windows: percentiles within their stated error, failures by class, uptime and availability."""

import math
from random import Random

import pytest

from gateway.routing.windows import Ending, Tally, Window
from providers import (
    BrokenOff,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)

HEARD = Ending(first_audio_ms=100.0)
ILL = (Unreachable, TimedOut, Overloaded, NotAudio, BrokenOff)
NOT_ITS_HEALTH = (RateLimited, Refused, QuotaExhausted, CredentialRefused, NotOffered)
DAY = 86_400


def failed(error: type[ProviderError] = Overloaded) -> Ending:
    return Ending(error("as told"))


@pytest.mark.parametrize("name", ["p50", "p75", "p90", "p95", "p99"])
def test_a_percentile_is_right_to_four_per_cent(name: str) -> None:
    random, window = Random(name), Window()
    seen = sorted(random.lognormvariate(6, 1.5) for _ in range(5_000))
    for each in seen:
        window.saw(Ending(first_audio_ms=each, real_time_factor=each / 1000), 50.0)
    exact = seen[math.ceil(int(name[1:]) / 100 * len(seen)) - 1]
    told = window.standing(50.0)
    assert getattr(told.first_audio_ms, name) == pytest.approx(exact, rel=0.04)
    assert getattr(told.real_time_factor, name) == pytest.approx(exact / 1000, rel=0.04)


@pytest.mark.parametrize("extreme", [0.0, -5.0, 1e-9, 1e30, math.inf])
def test_no_value_is_too_extreme_for_the_scale(extreme: float) -> None:
    window = Window()
    window.saw(Ending(first_audio_ms=extreme), 0.0)
    told = window.standing(0.0).first_audio_ms
    assert told is not None
    assert 1e-4 < told.p50 < 1e9


def test_percentiles_are_those_of_the_last_half_hour() -> None:
    window = Window()
    window.saw(Ending(first_audio_ms=9_000.0), 0.0)
    window.saw(Ending(first_audio_ms=100.0), 1_000.0)
    assert window.standing(1_000.0).attempts == 2
    later = window.standing(1_900.0)
    assert later.attempts == 1
    assert later.first_audio_ms is not None
    assert later.first_audio_ms.p99 == pytest.approx(100, rel=0.04)
    assert window.standing(3_000.0).is_cold


def test_failures_are_told_by_class_and_what_we_broke_off_is_no_attempt() -> None:
    window = Window()
    for error in (TimedOut, TimedOut, RateLimited):
        window.saw(failed(error), 0.0)
    window.saw(Ending(), 0.0)
    assert window.standing(0.0).failures == {"timeout": 2, "rate_limit_exceeded": 1}
    assert window.standing(0.0).attempts == 3


def test_a_clip_that_broke_counts_as_failed_and_its_first_audio_all_the_same() -> None:
    window = Window()
    window.saw(Ending(BrokenOff("cut"), first_audio_ms=200.0), 0.0)
    told = window.standing(0.0)
    assert (told.uptime_5m, told.is_cold) == (0.0, False)


def test_uptime_is_told_of_five_minutes_thirty_and_a_day() -> None:
    window = Window()
    for now, ending in ((0, failed()), (DAY - 1_000, failed()), (DAY - 100, failed())):
        window.saw(ending, now)
    window.saw(HEARD, DAY - 100)
    told = window.standing(DAY - 60)
    assert (told.uptime_5m, told.uptime_30m) == (50.0, pytest.approx(100 / 3))
    assert told.uptime_1d == 25.0
    assert window.standing(2 * DAY).uptime_1d is None


@pytest.mark.parametrize("error", NOT_ITS_HEALTH)
def test_what_is_not_the_offers_health_leaves_uptime_and_availability_alone(
    error: type[ProviderError],
) -> None:
    window = Window()
    window.saw(HEARD, 0.0)
    window.saw(failed(error), 0.0)
    told = window.standing(0.0)
    assert (told.uptime_5m, told.availability) == (100.0, 1.0)


@pytest.mark.parametrize("error", ILL)
def test_what_is_its_health_counts(error: type[ProviderError]) -> None:
    window = Window()
    window.saw(failed(error), 0.0)
    told = window.standing(0.0)
    assert (told.uptime_1d, told.availability) == (0.0, pytest.approx(2 / 3))


def test_failures_fade_by_half_in_thirty_seconds() -> None:
    window = Window()
    for _ in range(8):
        window.saw(failed(), 100.0)
    window.saw(HEARD, 130.0)
    assert window.standing(130.0).availability == pytest.approx(3 / 7)
    assert window.standing(100_000.0).availability == pytest.approx(1)


def test_a_stranger_s_attempts_are_told_at_once_and_a_known_offer_s_within_a_second() -> None:
    window = Window()
    for number in range(30):
        window.saw(HEARD, 0.0)
        assert window.standing(0.0).attempts == min(number + 1, 21)
    assert window.standing(0.99).attempts == 21
    assert window.standing(1.0).attempts == 30


def test_a_day_of_minutes_is_all_that_a_tally_remembers() -> None:
    tally = Tally(60, 1_440)
    for minute in range(3_000):
        tally.add(minute * 60.0, well=minute % 2 == 0)
    assert tally.sums(2_999 * 60.0) == (720, 720)
    assert tally.sums(2_999 * 60.0 + DAY) == (0, 0)

"""Breakers: when they open, for how long, how they find out, and when they give way."""

from random import Random

import pytest

from gateway.routing.breakers import Breaker, Pass
from gateway.routing.rests import Rest
from gateway.settings import Resilience


def breaker(**rules: float) -> Breaker:
    return Breaker(Resilience(**rules), Random(1))  # type: ignore[arg-type]  # as each test names


def came(through: Breaker, now: float, *, desperate: bool = False) -> Pass | None:
    way = through.way(now, desperate=desperate)
    return None if isinstance(way, Rest) else through.go(way, now)


def through(the: Breaker, now: float, *, well: bool | None) -> None:
    passed = came(the, now)
    assert passed is not None
    the.back(passed, now, well=well)


def opened(now: float = 0.0, **rules: float) -> Breaker:
    the = breaker(**rules)
    for _ in range(5):
        through(the, now, well=False)
    return the


def reopens(the: Breaker, now: float) -> float:
    """When it lets a probe through."""
    rest = the.rest(now)
    assert rest is not None
    assert rest.is_broken
    return now + rest.seconds


def closed_again(now: float = 0.0) -> tuple[Breaker, float]:
    the = opened(now)
    at = reopens(the, now)
    for _ in range(3):
        through(the, at, well=True)
    return the, at


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    the = breaker()
    for well in (False, False, False, False, True, False, False, False, False):
        through(the, 0.0, well=well)
    assert the.rest(0.0) is None
    through(the, 0.0, well=False)
    rest = the.rest(0.0)
    assert rest is not None
    assert (rest.is_broken, rest.reason) == (True, "it failed 5 times in a row")
    assert 10 <= rest.seconds <= 12.5


def test_half_of_twenty_within_ten_seconds_open_it() -> None:
    the = breaker()
    for number in range(19):
        through(the, number * 0.4, well=number % 2 == 0)
    assert the.rest(7.6) is None
    through(the, 7.6, well=False)
    rest = the.rest(7.6)
    assert rest is not None
    assert rest.reason == "10 of its last 20 attempts failed"


def test_half_of_twenty_over_a_minute_do_not() -> None:
    the = breaker()
    for number in range(40):
        through(the, number * 3.0, well=number % 2 == 0)
    assert the.rest(120.0) is None


def test_what_says_nothing_of_the_offer_neither_opens_nor_heals() -> None:
    the = breaker()
    for well in (False, False, None, False, None, False):
        through(the, 0.0, well=well)
    assert the.rest(0.0) is None
    through(the, 0.0, well=False)
    assert the.rest(0.0) is not None


def test_after_its_time_one_probe_goes_at_a_time() -> None:
    the = opened()
    at = reopens(the, 0.0)
    assert came(the, at - 0.01) is None
    probe = came(the, at)
    assert probe is not None
    assert probe.way == "probe"
    assert came(the, at + 5) is None
    the.back(probe, at + 5, well=True)
    assert came(the, at + 5) is not None


def test_a_probe_that_we_broke_off_frees_its_place_without_a_verdict() -> None:
    the = opened()
    at = reopens(the, 0.0)
    for _ in range(5):
        through(the, at, well=None)
    assert the.rest(at) is None


def test_each_failed_probe_keeps_it_open_for_longer_up_to_a_limit() -> None:
    the, now, spells = opened(breaker_longest_seconds=45.0), 0.0, []
    for _ in range(6):
        spells.append(reopens(the, now) - now)
        now += spells[-1]
        through(the, now, well=False)
    for times, spell in enumerate(spells, 1):
        assert min(10 * times, 45) <= spell + 1e-6 <= min(12.5 * times, 45) + 1e-6


def test_three_successes_close_it_and_its_share_grows_over_half_a_minute() -> None:
    the, closed = closed_again()
    moments = (closed, closed + 15, closed + 30)
    shares = [sum(came(the, at) is not None for _ in range(1_000)) / 1_000 for at in moments]
    assert shares == [pytest.approx(0.1, abs=0.03), pytest.approx(0.55, abs=0.05), 1.0]
    assert the.rest(closed) is None


def test_a_request_with_nobody_else_left_is_not_kept_by_the_ramp() -> None:
    the, closed = closed_again()
    assert all(came(the, closed, desperate=True) for _ in range(100))


def test_opening_again_before_it_has_been_well_for_a_while_is_counted_on() -> None:
    the, closed = closed_again()
    for _ in range(5):
        the.back(came(the, closed, desperate=True) or Pass("probe", -1), closed, well=False)
    assert 20 <= reopens(the, closed) - closed <= 25
    the, closed = closed_again()
    for _ in range(5):
        through(the, closed + 31, well=False)
    assert 10 <= reopens(the, closed + 31) - closed - 31 <= 12.5


def test_the_desperate_get_past_it_once_a_second() -> None:
    the = opened()
    passed = [at for at in range(50) if came(the, at / 10, desperate=True)]
    assert passed == [0, 10, 20, 30, 40]


def test_a_desperate_success_lets_probes_in_at_once_and_a_failure_changes_nothing() -> None:
    the = opened()
    until = reopens(the, 0.0)
    first, second = came(the, 1.0, desperate=True), came(the, 2.0, desperate=True)
    assert first is not None
    assert second is not None
    the.back(first, 3.0, well=False)
    assert reopens(the, 3.0) == pytest.approx(until)
    the.back(second, 3.0, well=True)
    assert the.way(3.0, desperate=False) == "probe"


def test_what_was_sent_before_it_opened_says_nothing_afterwards() -> None:
    the = breaker()
    early = [came(the, 0.0) or Pass("probe", -1) for _ in range(20)]
    for each in early[:5]:
        the.back(each, 0.0, well=False)
    until = reopens(the, 0.0)
    for well, each in enumerate(early[5:]):
        the.back(each, 1.0, well=well % 2 == 0)
    assert reopens(the, 1.0) == pytest.approx(until)

"""Crowds: how many requests one offer gets at once."""

import pytest

from gateway.routing.crowds import Crowd
from providers import BrokenOff, Overloaded, ProviderError, RateLimited, Refused, TimedOut


def through(crowd: Crowd, error: ProviderError | None = None, now: float = 0.0) -> None:
    crowd.joined()
    crowd.left(error, now, heard=error is None)


def at_once(crowd: Crowd, number: int, error: ProviderError, now: float = 0.0) -> None:
    """So many, of which the first ends in this."""
    for _ in range(number):
        crowd.joined()
    for each in range(number):
        crowd.left(None if each else error, now, heard=False)


@pytest.mark.parametrize("most", [256, 8, 1])
def test_all_may_come_until_it_shows_that_it_has_enough(most: int) -> None:
    crowd = Crowd(most)
    for _ in range(most):
        assert crowd.rest() is None
        crowd.joined()
    rest = crowd.rest()
    assert rest is not None
    assert (rest.is_full, rest.seconds < 1) == (True, True)


def test_it_never_grows_beyond_the_setting() -> None:
    crowd = Crowd(40)
    for _ in range(2_000):
        through(crowd)
    assert crowd.limit == 40


@pytest.mark.parametrize("error", [RateLimited("429"), Overloaded("503"), TimedOut("late")])
def test_too_many_become_fewer_at_most_once_a_second(error: ProviderError) -> None:
    crowd = Crowd(256)
    for now in (0.0, 0.5, 0.9):
        at_once(crowd, 100, error, now)
    assert crowd.limit == 70
    at_once(crowd, 70, error, 1.0)
    assert crowd.limit == 49


def test_as_many_successes_as_its_limit_make_room_for_a_tenth_more() -> None:
    crowd = Crowd(256)
    at_once(crowd, 100, TimedOut("late"))
    for _ in range(70):
        assert crowd.limit == 70
        through(crowd)
    assert crowd.limit == 77


@pytest.mark.parametrize(("most", "least"), [(256, 4), (2, 2)])
def test_a_few_always_may_go(most: int, least: int) -> None:
    crowd = Crowd(most)
    for now in range(50):
        through(crowd, Overloaded("503"), now)
    assert (crowd.limit, crowd.rest()) == (least, None)


@pytest.mark.parametrize("error", [BrokenOff("cut"), Refused("400")])
def test_other_failures_say_nothing_of_its_size(error: ProviderError) -> None:
    crowd = Crowd(256)
    for now in range(50):
        at_once(crowd, 50, error, now)
    assert (crowd.limit, crowd.in_flight) == (256, 0)

"""Crowds: how many requests one offer gets at once."""

import pytest

from gateway.routing.crowds import Crowd
from providers import BrokenOff, Overloaded, ProviderError, RateLimited, Refused, TimedOut


def through(crowd: Crowd, error: ProviderError | None = None, now: float = 0.0) -> None:
    crowd.joined()
    crowd.left(error, now, heard=error is None)


@pytest.mark.parametrize(("most", "start"), [(256, 32), (8, 8), (1, 1)])
def test_it_starts_small_and_is_full_at_its_limit(most: int, start: int) -> None:
    crowd = Crowd(most)
    for _ in range(start):
        assert crowd.rest() is None
        crowd.joined()
    rest = crowd.rest()
    assert rest is not None
    assert (rest.is_full, rest.seconds < 1) == (True, True)


def test_as_many_successes_as_its_limit_make_room_for_one_more() -> None:
    crowd = Crowd(256)
    for _ in range(32):
        assert crowd.limit == 32
        through(crowd)
    assert crowd.limit == 33


def test_it_never_grows_beyond_the_setting() -> None:
    crowd = Crowd(40)
    for _ in range(2_000):
        through(crowd)
    assert crowd.limit == 40


@pytest.mark.parametrize("error", [RateLimited("429"), Overloaded("503"), TimedOut("late")])
def test_too_much_makes_it_smaller_at_most_once_a_second(error: ProviderError) -> None:
    crowd = Crowd(256)
    for now in (0.0, 0.5, 0.9):
        through(crowd, error, now)
    assert crowd.limit == 22
    through(crowd, error, 1.0)
    assert crowd.limit == 15


def test_one_request_always_may_go() -> None:
    crowd = Crowd(4)
    for now in range(50):
        through(crowd, Overloaded("503"), now)
    assert (crowd.limit, crowd.rest()) == (1, None)


@pytest.mark.parametrize("error", [BrokenOff("cut"), Refused("400")])
def test_other_failures_say_nothing_of_its_size(error: ProviderError) -> None:
    crowd = Crowd(256)
    for now in range(50):
        through(crowd, error, now)
    assert (crowd.limit, crowd.in_flight) == (32, 0)

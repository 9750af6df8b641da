"""Allowances: a share of what is asked anyway, for everybody and for one key."""

from gateway.routing.allowance import Allowance


def asked(times: int, now: float = 0.0, share: float = 0.2) -> Allowance:
    allowance = Allowance(share)
    for _ in range(times):
        allowance.asked(now)
    return allowance


def taken(allowance: Allowance, now: float, key: str = "", cost: float = 1.0) -> int:
    return sum(allowance.take(now, cost, key) for _ in range(1_000))


def test_a_share_of_the_requests_may_be_taken() -> None:
    assert taken(asked(1_000), 1.0) == 200


def test_a_quiet_gateway_may_still_take_three_a_second() -> None:
    assert taken(asked(0), 0.0) == 30


def test_what_was_asked_and_taken_ten_seconds_ago_is_forgotten() -> None:
    allowance = asked(1_000)
    assert taken(allowance, 9.0) == 200
    assert taken(allowance, 10.0) == 0
    assert taken(allowance, 19.0) == 30


def test_an_attempt_after_one_that_timed_out_takes_three() -> None:
    assert taken(asked(1_000), 1.0, cost=3.0) == 66


def test_no_key_may_use_more_than_half() -> None:
    allowance = asked(1_000)
    assert taken(allowance, 1.0, "greedy") == 100
    assert taken(allowance, 1.0, "modest") == 100
    assert taken(allowance, 1.0, "late") == 0


def test_a_key_may_always_use_a_few_while_there_are_any() -> None:
    allowance = Allowance(0.5, floor_per_second=0.4)
    for key in "ab":
        allowance.asked(0.0, key)
    assert taken(allowance, 0.0, "a") == 3
    assert taken(allowance, 0.0, "b") == 1


def test_without_share_and_floor_there_is_nothing() -> None:
    allowance = Allowance(0.0, floor_per_second=0.0)
    allowance.asked(0.0)
    assert not allowance.take(0.0)


def test_a_key_that_is_alone_may_use_all() -> None:
    allowance = Allowance(0.2)
    for _ in range(1_000):
        allowance.asked(0.0, "alone")
    assert taken(allowance, 1.0, "alone") == 200

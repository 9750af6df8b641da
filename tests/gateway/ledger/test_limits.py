"""Every limit at its edge: the last that fits is served, the first beyond it is not."""

from dataclasses import replace

import pytest

from gateway.metering.operations import Budget, ChangeKey, Hold, SetBudgets
from gateway.metering.scopes import MINUTE_MS
from tests.gateway.ledger.asked import CREATE, KEY, hold, settle
from tests.gateway.ledger.bench import Bench

SCOPES = [f"key:{KEY}", "project:p1", "organisation:o1", "provider:x", "global"]


def limit(scope: str, **limits: int) -> SetBudgets:
    return SetBudgets((Budget(scope, "total", **limits),), "me")


def request(id_: str, nano: int, characters: int = 10) -> Hold:
    asked = hold(id_, nano, bound=nano)
    return replace(asked, opening=replace(asked.opening, characters=characters))


def soft(id_: str, nano: int, characters: int = 10) -> Hold:
    return replace(request(id_, nano, characters), may_downgrade=True)


@pytest.mark.parametrize("scope", SCOPES)
def test_money_is_held_up_to_the_limit_and_not_beyond(bench: Bench, scope: str) -> None:
    final = "OfferRefused" if scope.startswith("provider") else "BudgetExceeded"
    assert bench.ask(CREATE) + bench.ask(limit(scope, limit_nano=100)) == [True, True]
    assert bench.ask(request("a", 60)) == [True]
    assert bench.ask(request("b", 41)) == [final]
    assert bench.ask(request("b", 40)) == [True]
    assert bench.ask(request("c", 1)) == [final]
    assert bench.ask(request("c", 0)) == [True]


@pytest.mark.parametrize("scope", SCOPES)
def test_characters_are_held_up_to_the_limit_and_not_beyond(bench: Bench, scope: str) -> None:
    final = "OfferRefused" if scope.startswith("provider") else "BudgetExceeded"
    assert bench.ask(CREATE) + bench.ask(limit(scope, limit_characters=100)) == [True, True]
    assert bench.ask(request("a", 1, 60)) == [True]
    assert bench.ask(request("b", 1, 41)) == [final]
    assert bench.ask(request("b", 1, 40)) == [True]


@pytest.mark.parametrize("scope", SCOPES)
def test_streams_are_given_back_with_their_request(bench: Bench, scope: str) -> None:
    assert bench.ask(CREATE) + bench.ask(limit(scope, limit_streams=2)) == [True, True]
    assert bench.ask(request("a", 1)) + bench.ask(request("b", 1)) == [True, True]
    assert bench.ask(request("c", 1)) == ["RateLimited"]
    assert bench.ask(settle("a", 1)) == [True]
    assert bench.ask(request("c", 1)) == [True]
    assert bench.ask(request("d", 1)) == ["RateLimited"]


def test_requests_are_counted_up_to_the_limit_and_anew_in_the_next_minute(bench: Bench) -> None:
    two = SetBudgets((Budget(f"key:{KEY}", "minute", limit_requests=2),), "me")
    assert bench.ask(CREATE) + bench.ask(two) == [True, True]
    assert bench.ask(request("a", 1)) + bench.ask(request("b", 1)) == [True, True]
    bench.turn(MINUTE_MS - 1)
    assert bench.ask(request("c", 1)) == ["RateLimited"]
    bench.turn(MINUTE_MS)
    assert bench.ask(request("c", 1)) == [True]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("what", ["nano", "characters"])
def test_a_soft_threshold_is_passed_only_beyond_it(bench: Bench, what: str, scope: str) -> None:
    threshold = limit(scope, **{f"soft_{what}": 100})
    assert bench.ask(CREATE) + bench.ask(threshold) == [True, True]
    assert bench.ask(soft("a", 101, 101)) == ["SoftLimit"]
    assert bench.ask(soft("a", 100, 100)) == [True]
    assert bench.ask(soft("b", 1, 1)) == ["SoftLimit"]
    assert bench.ask(request("b", 1, 1)) == [True], "there is no cheaper plan"


@pytest.mark.parametrize("what", ["nano", "characters"])
def test_a_limit_may_be_set_to_what_is_used_and_no_lower(bench: Bench, what: str) -> None:
    assert bench.ask(CREATE) + bench.ask(request("a", 50, 50)) == [True, True]
    assert bench.ask(limit(f"key:{KEY}", **{f"limit_{what}": 49})) == ["InvalidRequest"]
    assert bench.ask(limit(f"key:{KEY}", **{f"limit_{what}": 50})) == [True]
    assert bench.ask(request("b", 1, 1)) == ["BudgetExceeded"]


def test_a_key_holds_until_the_moment_of_its_end(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(ChangeKey(KEY, "k", False, 1, expires_ms=1000, project="p1")) == [True]
    bench.turn(999)
    assert bench.ask(request("a", 1)) == [True]
    bench.turn(1000)
    assert bench.ask(request("b", 1)) == ["Unauthenticated"]


def test_beyond_its_limit_a_cheaper_plan_is_tried_and_judged_by_the_limit(bench: Bench) -> None:
    both = limit(f"key:{KEY}", soft_nano=10, limit_nano=100)
    assert bench.ask(CREATE) + bench.ask(both) == [True, True]
    assert bench.ask(soft("a", 101)) == ["SoftLimit"]
    assert bench.ask(request("a", 101)) == ["BudgetExceeded"]
    assert bench.ask(request("a", 100)) == [True]


def sharing(id_: str, nano: int, characters: int = 10, at: int = 800) -> Hold:
    return replace(soft(id_, nano, characters), downgrade_at=at)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("what", ["nano", "characters"])
def test_a_share_of_a_budget_is_used_up_to_it_and_not_beyond(
    bench: Bench, what: str, scope: str
) -> None:
    budget = limit(scope, **{f"limit_{what}": 100})
    assert bench.ask(CREATE) + bench.ask(budget) == [True, True]
    assert bench.ask(sharing("a", 81, 81)) == ["SoftLimit"]
    assert bench.ask(sharing("a", 50, 50)) == [True]
    assert bench.ask(sharing("b", 31, 31)) == ["SoftLimit"]
    assert bench.ask(sharing("b", 30, 30)) == [True], "exactly 80 of 100"
    assert bench.ask(sharing("c", 1, 1)) == ["SoftLimit"]
    assert bench.ask(request("c", 1, 1)) == [True], "the cheaper plan"


def test_requests_that_come_together_do_not_pass_a_share_together(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(limit(f"key:{KEY}", limit_nano=100)) == [True, True]
    answers = bench.ask(*(sharing(f"r{n}", 30) for n in range(4)))
    assert sorted(map(str, answers)) == ["SoftLimit", "SoftLimit", "True", "True"]


def test_a_share_to_the_thousandth_is_exact_however_large_the_budget(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(limit(f"key:{KEY}", limit_nano=3 * 10**18)) == [True, True]
    share = 3 * 10**15 * 333
    assert bench.ask(sharing("a", share + 1, at=333)) == ["SoftLimit"]
    assert bench.ask(sharing("a", share, at=333)) == [True]


def test_who_has_no_budget_has_no_share_of_it(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(sharing("a", 10**9, at=0)) == [True]


def test_a_rate_is_no_budget_of_which_a_share_is_used(bench: Bench) -> None:
    rate = SetBudgets((Budget(f"key:{KEY}", "minute", limit_characters=100),), "me")
    assert bench.ask(CREATE) + bench.ask(rate) == [True, True]
    assert bench.ask(sharing("a", 1, 100)) == [True]

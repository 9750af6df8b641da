"""Requests that outlive their period, and budgets that come after it."""

from gateway.metering.operations import Budget, Judge, Lose, SetBudgets
from gateway.metering.scopes import MINUTE_MS, Period
from tests.gateway.ledger.asked import CREATE, KEY, extend, hold, settle, void
from tests.gateway.ledger.audit import assert_at_rest, assert_sound
from tests.gateway.ledger.bench import Bench


def budget(limit: int | None, period: Period = "minute", **more: int) -> SetBudgets:
    return SetBudgets((Budget(f"key:{KEY}", period, limit, **more),), "me")


def balances(bench: Bench) -> dict[str, tuple[int, int]]:
    with bench.looking() as connection:
        rows = assert_sound(connection)["balance"]
    return {row["id"].partition("|")[2]: (row["posted_nano"], row["held_nano"]) for row in rows}


def test_a_limit_below_what_an_earlier_period_used_lets_its_requests_end(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(hold("a", 900), hold("b", 50)) == [True, True]
    bench.turn(MINUTE_MS)
    assert bench.ask(budget(500)) == [True]
    assert bench.ask(settle("a", 800)) == [True]
    assert balances(bench)["minute|0"] == (800, 50)
    assert bench.ask(extend("b", 10)) == [True], "the limit came after its minute"
    assert bench.ask(void("b")) == [True]
    with bench.looking() as connection:
        assert_at_rest(assert_sound(connection))


def test_what_begins_with_a_period_is_no_use_of_the_one_before(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(hold("a", 900)) == [True, True]
    bench.turn(MINUTE_MS)
    assert bench.ask(hold("b", 50)) + bench.ask(budget(5000)) == [True, True]
    assert bench.ask(settle("a", 800)) == [True], "its own minute is counted only now"
    assert balances(bench)["minute|0"] == (800, 0)
    assert balances(bench)[f"minute|{MINUTE_MS}"] == (0, 50)


def test_a_further_attempt_is_judged_by_the_limit_of_its_own_period(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(budget(1000)) == [True, True]
    assert bench.ask(hold("a", 900)) == [True]
    bench.turn(MINUTE_MS)
    assert bench.ask(budget(5000)) == [True]
    assert bench.ask(extend("a", 200)) == ["BudgetExceeded"]
    assert bench.ask(budget(10)) == [True]
    assert bench.ask(extend("a", 100)) == [True]
    assert balances(bench)["minute|0"] == (0, 1000)


def test_what_a_provider_may_have_said_for_nothing_counts_until_it_is_known(bench: Bench) -> None:
    ten = SetBudgets((Budget("provider:x", "total", limit_characters=10),), "me")
    assert bench.ask(CREATE) + bench.ask(ten) == [True, True]
    assert bench.ask(hold("a", 5)) == [True]
    assert bench.ask(Lose(("a",))) == [True]
    assert bench.ask(hold("b", 5)) == ["OfferRefused"]
    assert bench.ask(settle("a", 5)) == [True], "late"
    assert bench.ask(hold("b", 5)) == ["OfferRefused"]


def test_a_further_attempt_of_a_running_request_is_no_further_request(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(hold("a", 1), hold("b", 1)) == [True, True]
    assert bench.ask(budget(None, "total", limit_requests=1, limit_streams=1)) == [True]
    assert bench.ask(extend("a", 1)) == [True]
    assert bench.ask(hold("c", 1)) == ["BudgetExceeded"]


def test_what_came_late_leaves_no_empty_row_where_it_was_counted_first(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(hold("a", 5)) == [True, True]
    assert bench.ask(Lose(("a",))) == [True]
    assert bench.ask(settle("a", 5)) == [True]
    balances(bench)


def test_budgets_are_set_all_or_none(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(hold("a", 100)) == [True]
    both = (Budget(f"key:{KEY}", "day", 500), Budget(f"key:{KEY}", "total", 99))
    assert bench.ask(SetBudgets(both, "me")) == ["InvalidRequest"]
    assert bench.ask(hold("b", 500)) == [True], "no limit was set"
    assert balances(bench) == {"total|0": (0, 600)}


def test_only_what_is_billed_beyond_its_hold_is_flagged(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(hold("a", 100), hold("b", 100)) == [True, True]
    assert bench.ask(settle("a", 100), settle("b", 101)) == [True, True]
    with bench.looking() as connection:
        rows = assert_sound(connection)["generation"]
    assert {row["id"]: row["flags"] for row in rows} == {"a": None, "b": "over_hold"}


def test_what_is_released_by_a_judgement_is_owed_to_nobody(bench: Bench) -> None:
    house = SetBudgets((Budget("provider:x", "total"), Budget("global", "total")), "me")
    assert bench.ask(CREATE) + bench.ask(house) == [True, True]
    for id_ in ("kept", "released"):
        assert bench.ask(hold(id_, 7, bound=5)) + bench.ask(Lose((id_,))) == [True, True]
    assert bench.ask(Judge(("kept",), keep=True)) == [True]
    assert bench.ask(Judge(("released",), keep=False)) == [True]
    with bench.looking() as connection:
        tables = assert_sound(connection)
    owed = {row["generation_id"]: row["liability_nano"] for row in tables["attempt"]}
    assert owed == {"kept": 5, "released": 0}
    posted = {row["scope"]: row["posted_nano"] for row in tables["balance"]}
    assert posted == {f"key:{KEY}": 7, "provider:x": 5, "global": 5}


def test_what_was_given_up_and_ends_after_all_says_that_it_is_late(bench: Bench) -> None:
    assert bench.ask(CREATE) + bench.ask(hold("a", 7)) + bench.ask(Lose(("a",))) == [True] * 3
    assert bench.ask(settle("a", 3)) == [True]
    with bench.looking() as connection:
        [made] = assert_sound(connection)["generation"]
    assert (made["status"], made["flags"]) == ("settled", "late recovered")

"""Planning: names, a task and its downgrade rule come to a plan, an error and a cheaper plan."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from gateway.access.allowed import Allowed
from gateway.errors import ConstraintFiltered, InvalidRequest, ModelNotFound
from gateway.routing.plan import Moment
from gateway.routing.planning import PAST_A_BUDGET, Asked, Planned, Routes, plan_request
from gateway.routing.policies import Policy
from gateway.routing.preferences import Preferences, PriceCap
from gateway.routing.standings import Rest
from gateway.routing.tasks import Downgrade, Task
from gateway.routing.telling import told
from tests.doubles.offers import SPEECH, Known, catalog, left_out, moment, offer, order, seen

AMONG = catalog(
    offer("dear", "a/fine", 30),
    offer("other", "a/fine", 40),
    offer("cheap", "a/plain", 1),
    offer("free", "a/free"),
)
CAP = PriceCap(Decimal(5))


def planned(
    task: Task | None = None,
    names: tuple[str, ...] = ("task/reading",),
    at: Moment | None = None,
    policy: Policy | None = None,
    **wishes: object,
) -> Planned:
    tasks = {"reading": task} if task else {}
    preferences = replace(Preferences(), **wishes)  # type: ignore[arg-type]  # the tests name its fields
    asked = Asked(names, SPEECH, preferences, policy)
    return plan_request(asked, Routes(AMONG, tasks, {}), "price", at or moment())


def reading(**rule: object) -> Task:
    downgrade = replace(Downgrade(("a/plain", "a/free")), **rule)  # type: ignore[arg-type]  # as above
    return Task("reading", ("a/fine",), downgrade=downgrade)


def test_the_cheaper_plan_waits_for_a_budget() -> None:
    made = planned(reading(budget_used=800))
    assert (order(made.plan), made.plan.downgraded) == (["dear", "other"], None)
    assert made.plan.downgrade_at == 800
    assert made.cheaper is not None
    assert order(made.cheaper) == ["cheap", "free"]
    assert (made.cheaper.downgraded, made.cheaper.downgrade_at) == (PAST_A_BUDGET, None)


def test_a_rule_whose_models_cannot_speak_changes_nothing() -> None:
    made = planned(reading(over_price_cap=True), only=("dear",), cap=CAP)
    assert made.cheaper is None
    assert isinstance(made.error, ConstraintFiltered)
    assert "the cheapest is dear" in made.error.message


def test_without_a_task_there_is_no_cheaper_plan() -> None:
    made = planned(names=("a/fine",))
    assert (made.task, made.cheaper, made.error) == (None, None, None)


def test_where_the_cap_leaves_none_of_its_models_a_task_is_downgraded_if_it_says_so() -> None:
    made = planned(reading(over_price_cap=True), cap=CAP)
    assert order(made.plan) == ["cheap", "free"]
    assert made.plan.downgraded == "the price cap leaves none of the task's models"
    assert (made.error, made.cheaper) == (None, None)
    left = planned(reading(), cap=CAP)
    assert left.plan.choices == ()
    assert isinstance(left.error, ConstraintFiltered)


def test_a_cap_that_leaves_one_of_its_models_downgrades_nothing() -> None:
    made = planned(reading(over_price_cap=True), cap=PriceCap(Decimal(30)))
    assert (order(made.plan), made.plan.downgraded) == (["dear"], None)


def test_what_another_constraint_empties_is_not_downgraded_by_the_cap() -> None:
    made = planned(reading(over_price_cap=True), ignore=("dear", "other"), cap=CAP)
    assert isinstance(made.error, ConstraintFiltered)
    assert left_out(made.plan) == {"dear": "ignore", "other": "ignore"}


@pytest.mark.parametrize(
    ("first_audio", "downgraded"),
    [
        ({"dear": 2001, "other": 3000}, True),
        ({"dear": 2001, "other": 2000}, False),
        ({"dear": 2001}, True),
        ({}, False),
    ],
)
def test_where_the_fastest_of_its_offers_is_too_slow_a_task_is_downgraded(
    first_audio: dict[str, float],
    downgraded: bool,  # noqa: FBT001  # a column of the table
) -> None:
    at = moment(Known({name: seen(ms) for name, ms in first_audio.items()}))
    made = planned(reading(first_audio_ms=2000.0), at=at)
    assert order(made.plan) == (["cheap", "free"] if downgraded else ["dear", "other"])
    words = "the fastest of the task's offers takes 2001 ms to first audio, more than 2000"
    assert made.plan.downgraded == (words if downgraded else None)


def test_an_offer_that_rests_is_not_the_fastest() -> None:
    speeds = {"dear": seen(100), "other": seen(3000)}
    rested = Known(speeds, {"dear": Rest(9, "it rests")})
    full = Known(speeds, {"dear": Rest(9, "it is full", is_full=True)})
    task = reading(first_audio_ms=2000.0)
    assert order(planned(task, at=moment(rested)).plan) == ["cheap", "free"]
    assert order(planned(task, at=moment(full)).plan) == ["dear", "other"]


@pytest.mark.parametrize(
    ("asked", "of_task", "expected"),
    [("quality", "latency", "quality"), (None, "latency", "latency"), (None, None, "price")],
)
def test_the_request_chooses_the_policy_then_the_task_then_the_gateway(
    asked: Policy | None, of_task: Policy | None, expected: Policy
) -> None:
    task = replace(reading(), policy=of_task)
    assert planned(task, policy=asked).plan.policy == expected


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"only": ("nobody", "none")}, "provider.only"),
        ({"order": ("nobody",)}, "provider.order"),
        ({"order": ("nobody",), "allow_fallbacks": False}, "provider.order"),
    ],
)
def test_a_list_that_names_nobody_is_refused_with_who_offers_the_model(
    wishes: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidRequest, match=r"this model is offered by dear, other$") as caught:
        planned(names=("a/fine",), **wishes)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: there is no provider 'nobody'")


def test_nobody_is_told_of_a_provider_that_its_key_may_not_use() -> None:
    allowed = Allowed(providers=frozenset({"dear"}))
    with pytest.raises(InvalidRequest, match=r"offered by dear$"):
        planned(names=("a/fine",), only=("nobody",), allowed=allowed)


@pytest.mark.parametrize(
    "wishes",
    [
        {"order": ("dear", "nobody")},
        {"only": ("dear", "nobody")},
        {"ignore": ("nobody",)},
        {"order": ("dear", "nobody"), "allow_fallbacks": False},
    ],
)
def test_a_name_of_nobody_beside_others_does_no_harm(
    wishes: dict[str, object],
) -> None:
    assert order(planned(names=("a/fine",), **wishes).plan)[0] == "dear"


@pytest.mark.parametrize(
    "wishes", [{"only": ("cheap",)}, {"order": ("cheap",), "allow_fallbacks": False}]
)
def test_providers_that_do_not_offer_the_model_leave_none_and_those_that_do_are_named(
    wishes: dict[str, object],
) -> None:
    error = planned(names=("a/fine",), **wishes).error
    assert isinstance(error, ConstraintFiltered)
    assert error.message.endswith("this model is offered by dear, other")


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(ModelNotFound):
        planned(names=("a/gone",))


def test_a_record_tells_the_plan_whole() -> None:
    rested = Known(rests={"dear": Rest(9, "it rests")})
    wishes = {"cap": PriceCap(Decimal(30)), "policy": "balanced", "at": moment(rested)}
    made = planned(reading(over_price_cap=True), **wishes)  # type: ignore[arg-type]  # as above
    record = msgspec.json.decode(told(made.plan))
    assert record == {
        "policy": "balanced",
        "cap_nano_usd": 300_000,
        "downgraded": None,
        "choices": [
            {
                "provider": "dear",
                "model": "a/fine",
                "voice": "alloy",
                "format": "mp3",
                "at_most_nano_usd": 300_000,
                "demoted": "it rests",
                "share": 1.0,
            }
        ],
        "excluded": [
            {
                "provider": "other",
                "model": "a/fine",
                "reason": "price",
                "detail": "may cost 0.0004 USD",
                "at_most_nano_usd": 400_000,
            }
        ],
    }

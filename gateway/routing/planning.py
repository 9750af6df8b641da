"""Planning: from what a request asks to its plan, and to the plan that may take its place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.errors import GatewayError
from gateway.routing.plan import Choice, Moment, Plan, make_plan
from gateway.routing.policies import Policy
from gateway.routing.preferences import Preferences
from gateway.routing.refusals import check_names, explain
from gateway.routing.tasks import Downgrade, Task, resolve
from providers import Catalog, Speech

PAST_A_BUDGET = "a budget is used beyond its soft threshold, or the task's share of it"


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything that a reload replaces at once: who offers what, and under which names."""

    catalog: Catalog
    tasks: Mapping[str, Task]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    names: tuple[str, ...]
    """Model names as asked, first choice first."""
    speech: Speech
    preferences: Preferences
    policy: Policy | None
    """None: the task's, or the gateway's own."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of it."""

    plan: Plan
    speech: Speech
    preferences: Preferences
    """Both with what the task says where the request did not."""
    task: Task | None
    error: GatewayError | None = None
    """Why the plan has no choice."""
    cheaper: Plan | None = None
    """What takes the plan's place once a budget is used so far; it has a choice."""


def plan_request(asked: Asked, routes: Routes, default: Policy, moment: Moment) -> Planned:
    """Plan a request; raises where it names what there is not."""
    catalog = routes.catalog
    wanted = resolve(asked.names, routes.aliases, routes.tasks, catalog)
    speech, preferences = wanted.applied(asked.speech, asked.preferences)
    check_names(catalog, wanted, preferences)
    policy = asked.policy or wanted.policy or default
    plan, cheaper = make_plan(catalog, wanted, speech, preferences, policy, moment), None
    rule = wanted.task.downgrade if wanted.task else None
    if rule is not None:
        less = replace(wanted, models=rule.models)
        other = make_plan(catalog, less, speech, preferences, policy, moment)
        if other.choices:
            plan, cheaper = _downgraded(plan, other, rule, catalog, moment)
    error = None if plan.choices else explain(plan, speech)
    return Planned(plan, speech, preferences, wanted.task, error, cheaper)


def _downgraded(
    plan: Plan, other: Plan, rule: Downgrade, catalog: Catalog, moment: Moment
) -> tuple[Plan, Plan | None]:
    """The plan to go by, and the one that a budget may put in its place."""
    if why := _too_dear(plan, rule) or _too_late(plan, rule, catalog, moment):
        return replace(other, downgraded=why), None
    plan = replace(plan, downgrade_at=rule.budget_used)
    return plan, replace(other, downgraded=PAST_A_BUDGET)


def _too_dear(plan: Plan, rule: Downgrade) -> str | None:
    if not rule.over_price_cap or plan.choices:
        return None
    dear = any(each.reason == "price" for each in plan.exclusions)
    return "the price cap leaves none of the task's models" if dear else None


def _too_late(plan: Plan, rule: Downgrade, catalog: Catalog, moment: Moment) -> str | None:
    """By what was seen of the offers that are well; one that nothing is known of may be fast."""
    medians = [_median(choice, catalog, moment) for choice in plan.choices]
    best = min((each for each in medians if each is not None), default=None)
    if rule.first_audio_ms is None or best is None or best <= rule.first_audio_ms:
        return None
    most = f"{rule.first_audio_ms:g}"
    return f"the fastest of the task's offers takes {best:.0f} ms to first audio, more than {most}"


def _median(choice: Choice, catalog: Catalog, moment: Moment) -> float | None:
    """Its time to first audio, unless it rests."""
    offer, standings = choice.offer, moment.standings
    provider = catalog.providers[offer.provider]
    rest = standings.resting(provider, offer, choice.voice, moment.now)
    seen = standings.of(offer.name, moment.now).first_audio_ms
    return None if seen is None or (rest is not None and not rest.is_full) else seen.p50

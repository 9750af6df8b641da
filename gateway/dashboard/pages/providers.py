"""Providers: who is on, how each one does, who failed and why, and where traffic goes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Response, get

from gateway.dashboard.flowing import flowing
from gateway.dashboard.offering import POLICIES, OfferRow, offer_rows, range_words
from gateway.dashboard.visitor import Plain, visitor_of
from gateway.endpoints.state import Gateway
from gateway.errors import GatewayError
from gateway.metering.traffic import Traffic, traffic
from gateway.routing.plan import Moment, Plan
from gateway.routing.planning import Asked, plan_request
from gateway.routing.preferences import Preferences
from providers import Provider, Speech

SAMPLE = "The train to the coast leaves at nine, and the next one only after lunch."
"""What the shares that a policy gives are computed for."""
NOTHING = Traffic()


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider with its offers."""

    provider: Provider
    offers: tuple[OfferRow, ...]
    traffic: Mapping[str, Traffic]

    @property
    def price(self) -> str:
        return range_words(self.offers)

    @property
    def uptime(self) -> float | None:
        """The worst of its offers' last day, in per cent."""
        known = [row.standing.uptime_1d for row in self.offers]
        return min((each for each in known if each is not None), default=None)

    @property
    def attempts(self) -> int:
        return sum(self.of(row).attempts for row in self.offers)

    def of(self, row: OfferRow) -> Traffic:
        """What its offer was asked in the last day."""
        return self.traffic.get(row.offer.name, NOTHING)

    def failures(self, row: OfferRow) -> list[tuple[str, int, int]]:
        """By class: in the last half hour, as it stands in memory, and in the last day."""
        lately, day = row.standing.failures, self.of(row).failures
        both = Counter(lately) | Counter(day)
        return [(kind, lately.get(kind, 0), day.get(kind, 0)) for kind in sorted(both)]


@dataclass(frozen=True, slots=True)
class Way:
    """Where one offer of a model stands among the others, and what it got of them."""

    row: OfferRow
    share: float | None
    """How often its policy puts it first, 0 to 1; None under one that draws no lots."""
    place: int | None
    """In the plan as it would be made now, from 1; None: it is left out."""
    why: str
    seen: Traffic


@dataclass(frozen=True, slots=True)
class Flow:
    """A model's traffic among its offers."""

    model: str
    ways: tuple[Way, ...]

    @property
    def hour(self) -> int:
        return sum(way.seen.first_hour for way in self.ways)

    @property
    def day(self) -> int:
        return sum(way.seen.first_day for way in self.ways)


@get("/dashboard/providers")
async def page(request: Plain) -> Response[Any]:
    visitor = await visitor_of(request)

    async def find() -> dict[str, object]:
        async with visitor.gateway.reading.connect() as connection:
            seen = await traffic(connection, visitor.caller.sees)
        return _told(visitor.gateway, seen)

    values = {"visitor": visitor, "page": "providers"}
    return await flowing(request, ("providers.html", "providers_now.html"), values, find)


def _told(gateway: Gateway, seen: Mapping[str, Traffic]) -> dict[str, object]:
    moment = gateway.moment()
    rows = _providers(gateway, moment, seen)
    return {
        "on": [row for row in rows if not row.provider.off],
        "off": [row for row in rows if row.provider.off],
        "flows": _flows(gateway, moment, seen),
        "policy": gateway.default_policy,
        "policies": POLICIES,
        "tasks": [task for task in gateway.routes.tasks.values() if task.policy],
    }


def _providers(gateway: Gateway, moment: Moment, seen: Mapping[str, Traffic]) -> list[ProviderRow]:
    catalog = gateway.routes.catalog
    offers = [offer for offers in catalog.models.values() for offer in offers]
    rows = offer_rows(gateway, offers, moment)
    return [
        ProviderRow(provider, tuple(row for row in rows if row.offer.provider == name), seen)
        for name, provider in catalog.providers.items()
    ]


def _flows(gateway: Gateway, moment: Moment, seen: Mapping[str, Traffic]) -> list[Flow]:
    """Models that were asked for in the last day, or that several offers could answer."""
    catalog = gateway.routes.catalog
    flows = []
    for model, offers in catalog.models.items():
        rows = [row for row in offer_rows(gateway, offers, moment) if not row.provider.off]
        asked = any(seen.get(row.offer.name, NOTHING).first_day for row in rows)
        if asked or len(rows) > 1:
            flows.append(
                Flow(model, tuple(_ways(rows, _sample_plan(gateway, model, moment), seen)))
            )
    return sorted(flows, key=lambda flow: -flow.day)


def _sample_plan(gateway: Gateway, model: str, moment: Moment) -> Plan | None:
    asked = Asked((model,), Speech(text=SAMPLE, voice="", format="mp3"), Preferences(), None)
    try:
        return plan_request(asked, gateway.routes, gateway.default_policy, moment).plan
    except GatewayError:
        return None


def _ways(rows: list[OfferRow], plan: Plan | None, seen: Mapping[str, Traffic]) -> list[Way]:
    choices = plan.choices if plan else ()
    placed = {choice.offer.name: (n, choice) for n, choice in enumerate(choices, start=1)}
    left_out = {each.offer.name: each.detail for each in plan.exclusions} if plan else {}
    ways = []
    for row in rows:
        name = row.offer.name
        place, choice = placed.get(name, (None, None))
        why = (choice.demoted if choice else left_out.get(name)) or ""
        share = choice.share if choice else None
        ways.append(Way(row, share, place, why, seen.get(name, NOTHING)))
    return sorted(ways, key=lambda way: way.place or len(rows) + 1)

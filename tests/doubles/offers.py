"""Offers and catalogues as values, for the tests of decisions."""

from dataclasses import replace
from typing import get_args

from gateway.routing.plan import Plan, make_plan
from gateway.routing.policies import Policy
from gateway.routing.preferences import Preferences
from gateway.routing.standings import Standings
from gateway.routing.tasks import Wanted
from providers import Catalog, Offer, Price, Provider, Speech

POLICIES = get_args(Policy)
FREE = Price(per="free")
SPEECH = Speech(text="0123456789", voice="", format="mp3")


def offer(provider: str, model: str = "a/m", usd_per_million: int = 0, **more: object) -> Offer:
    price = Price(per="character", rate=usd_per_million * 10**6) if usd_per_million else FREE
    plain = Offer(
        provider=provider,
        model=model,
        upstream="m",
        voices=frozenset({"alloy"}),
        default_voice="alloy",
        formats={"mp3": "mp3"},
        price=price,
    )
    return replace(plain, **more)  # type: ignore[arg-type]  # the tests name its fields


def catalog(
    *offers: Offer, off: str = "", families: dict[str, tuple[str, ...]] | None = None
) -> Catalog:
    """These offers; the provider named `off` lacks its key."""
    models: dict[str, tuple[Offer, ...]] = {}
    for each in offers:
        models[each.model] = (*models.get(each.model, ()), each)
    rows = {
        each.provider: Provider(
            name=each.provider,
            wire="openai_speech",
            address="http://127.0.0.1:1",
            off="ITS_KEY is not set" if each.provider == off else None,
        )
        for each in offers
    }
    return Catalog(rows, models, families or {})


def plan(  # everything that a plan depends on
    among: Catalog,
    *models: str,
    speech: Speech = SPEECH,
    policy: Policy = "price",
    standings: Standings | None = None,
    **preferences: object,
) -> Plan:
    wanted = Wanted(models or tuple(among.models))
    chosen = replace(Preferences(), **preferences)  # type: ignore[arg-type]  # as above
    return make_plan(among, wanted, speech, chosen, policy, standings or Standings())


def order(made: Plan) -> list[str]:
    return [choice.offer.provider for choice in made.choices]


def left_out(made: Plan) -> dict[str, str]:
    return {each.offer.provider: each.reason for each in made.exclusions}

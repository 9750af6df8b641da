"""Offers and catalogues as values, for the tests of decisions."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import get_args

from gateway.routing.plan import Moment, Plan, make_plan
from gateway.routing.policies import Policy
from gateway.routing.preferences import Preferences
from gateway.routing.standings import Percentiles, Rest, Standing, Standings
from gateway.routing.tasks import Wanted
from providers import Catalog, Offer, Price, Provider, Speech

POLICIES = get_args(Policy)
FREE = Price(per="free")
SPEECH = Speech(text="0123456789", voice="", format="mp3")


class Known(Standings):
    """Standings that are what they are told to be, by provider."""

    def __init__(
        self,
        seen: Mapping[str, Standing] | None = None,
        rests: Mapping[str, Rest] | None = None,
    ) -> None:
        super().__init__()
        self._seen, self._rests = seen or {}, rests or {}

    def of(self, offer: str, now: float) -> Standing:  # noqa: ARG002  # the same at any time
        return self._seen.get(offer.partition(":")[0], Standing())

    def resting(  # the same of all its offers, at any time
        self,
        provider: Provider,
        offer: Offer,  # noqa: ARG002
        voice: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> Rest | None:
        return self._rests.get(provider.name)


def even(value: float) -> Percentiles:
    """The same at every percentile."""
    return Percentiles(value, value, value, value, value)


def seen(first_audio_ms: float, factor: float = 0.5, availability: float = 1.0) -> Standing:
    return Standing(9, even(first_audio_ms), even(factor), availability=availability)


def moment(standings: Standings | None = None, seed: int = 0, explore_share: float = 0.0) -> Moment:
    return Moment(standings or Known(), 100.0, Random(seed), explore_share)


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
    at: Moment | None = None,
    **preferences: object,
) -> Plan:
    wanted = Wanted(models or tuple(among.models))
    chosen = replace(Preferences(), **preferences)  # type: ignore[arg-type]  # as above
    return make_plan(among, wanted, speech, chosen, policy, at or moment())


def order(made: Plan) -> list[str]:
    return [choice.offer.provider for choice in made.choices]


def left_out(made: Plan) -> dict[str, str]:
    return {each.offer.provider: each.reason for each in made.exclusions}

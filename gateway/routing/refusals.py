"""Refusals: why a plan has no choice, told as what the caller can change."""

from collections.abc import Collection, Iterable

from gateway.access.allowed import FIELDS
from gateway.errors import (
    ConstraintFiltered,
    Forbidden,
    GatewayError,
    InvalidRequest,
    NoProvider,
)
from gateway.metering.prices import dearness, usd
from gateway.routing.judging import REASONS, Exclusion
from gateway.routing.plan import Plan
from gateway.routing.preferences import Preferences
from gateway.routing.tasks import Wanted
from providers import Catalog, Speech

VOICES_TOLD = 12
_BY_NAME = {"only", "ignore", "order"}
"""Reasons for which it helps to know who does offer the model."""


def check_names(catalog: Catalog, wanted: Wanted, preferences: Preferences) -> None:
    """Refuse lists of providers that name nobody there is: they can only be slips of the pen."""
    lists = {"provider.only": preferences.only, "provider.order": preferences.order}
    for field, given in lists.items():
        if given and not catalog.providers.keys() & set(given):
            names = ", ".join(repr(each[:100]) for each in given[:VOICES_TOLD])
            told = (
                f"{field}: there is no provider {names}; {_offering(catalog, wanted, preferences)}"
            )
            raise InvalidRequest(told, param=field)


def _offering(catalog: Catalog, wanted: Wanted, preferences: Preferences) -> str:
    allowed = preferences.allowed.providers
    names = {offer.provider for model in wanted.models for offer in catalog.models[model]}
    return _offered_by(names if allowed is None else names & allowed)


def _offered_by(names: Collection[str]) -> str:
    return f"this model is offered by {', '.join(sorted(names)) or 'nobody'}"


def explain(plan: Plan, speech: Speech) -> GatewayError:
    """Why a plan has no choice.

    The offer that came nearest to speaking decides: offers are judged in the order of Reason.
    """
    reason = max((each.reason for each in plan.exclusions), key=REASONS.index, default="off")
    nearest = [each for each in plan.exclusions if each.reason == reason]
    if reason == "key":
        return _forbidden(nearest)
    if reason == "off":
        off = f"no provider can be asked for this model ({_details(nearest)})"
        return NoProvider(off, param="model", retry_after=60)
    if reason == "voice":
        return InvalidRequest(_voices_told(nearest, speech), param="voice")
    if reason == "long":
        return InvalidRequest(
            f"input: {len(speech.text)} characters are too long for every offer "
            f"({_details(nearest)})",
            param="input",
        )
    if reason == "price":
        return ConstraintFiltered(_prices_told(nearest), param="provider.max_price")
    told = f"no offer meets every constraint ({_details(plan.exclusions)})"
    if reason in _BY_NAME:
        told += f"; {_offered_by({e.offer.provider for e in plan.exclusions if e.reason != 'key'})}"
    return ConstraintFiltered(told, param="provider")


def _forbidden(nearest: list[Exclusion]) -> Forbidden:
    param = max((each.param for each in nearest), key=FIELDS.index)
    told = _details(each for each in nearest if each.param == param)
    return Forbidden(f"{param}: this API key may not use it ({told})", param=param)


def _details(exclusions: Iterable[Exclusion]) -> str:
    return "; ".join(f"{each.offer.provider}: {each.detail}" for each in exclusions)


def _voices_told(nearest: list[Exclusion], speech: Speech) -> str:
    offers = [each.offer for each in nearest]
    others = sorted({voice for offer in offers for voice in offer.voices})
    known = list(dict.fromkeys([offer.default_voice for offer in offers] + others))
    listed = ", ".join(known[:VOICES_TOLD])
    more = f" and {len(known) - VOICES_TOLD} more" if len(known) > VOICES_TOLD else ""
    asked = f"{speech.voice[:100]!r} " if speech.voice else ""
    return (
        f"voice {asked}is not known to any offer of this model ({_details(nearest)}); "
        f"there are {listed}{more}; GET /v1/audio/voices lists all"
    )


def _prices_told(nearest: list[Exclusion]) -> str:
    cheapest = min(nearest, key=lambda each: dearness(each.bound_nano))
    if cheapest.bound_nano is None:
        return f"no offer can be held to provider.max_price ({_details(nearest)})"
    return (
        f"provider.max_price is below every offer; the cheapest is {cheapest.offer.provider} "
        f"({cheapest.offer.model}) at up to {usd(cheapest.bound_nano)} USD for this text"
    )

"""The plan: which offers may say this speech, in which order, and why each other one was left out.

A pure function of values: no clock, no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.access.allowed import FIELDS
from gateway.errors import (
    ConstraintFiltered,
    Forbidden,
    GatewayError,
    InvalidRequest,
    NoProvider,
)
from gateway.metering.prices import dearness, upper_bound, usd
from gateway.metering.spoken import longest_ms
from gateway.routing.policies import SORT_KEYS, Candidate, Policy
from gateway.routing.preferences import Preferences
from gateway.routing.standings import Standings
from gateway.routing.tasks import Wanted
from providers import Catalog, Offer, Speech

VOICES_TOLD = 12
# What to ask for when an offer has not the format that was asked: nearest to plain samples first.
EASIEST = ("pcm", "wav", "flac", "opus", "mp3", "aac")

Reason = Literal[
    "key", "off", "only", "ignore", "order", "data", "voice", "parameters", "long", "price"
]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer that may speak, with the voice and format it would be asked for."""

    offer: Offer
    voice: str
    native_format: str
    bound_nano: int | None
    """The most that it can cost; None when the offer's price is not known."""
    demoted: str | None = None
    """Why it goes last, in words: it rests, or is slower than was asked for."""
    share: float | None = None
    """How often it goes first under a policy that draws lots, 0 to 1."""

    @property
    def hold_nano(self) -> int:
        """What to set aside for it; for a price that is not known there is nothing to go by."""
        return self.bound_nano or 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An offer that may not, and why."""

    offer: Offer
    reason: Reason
    detail: str
    bound_nano: int | None = None
    param: str = "provider"
    """The body's field that it is about."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The order to try offers in."""

    choices: tuple[Choice, ...]
    exclusions: tuple[Exclusion, ...]
    policy: Policy
    cap_nano: int | None = None
    """The most that the request may be charged."""
    downgraded: str | None = None
    """Why a task's downgrade rule made it, in words."""

    @property
    def hold_nano(self) -> int:
        """The most that any one choice can cost, as far as prices are known."""
        return max((choice.hold_nano for choice in self.choices), default=0)


def make_plan(  # noqa: PLR0913, PLR0917  # everything that a plan depends on, by name
    catalog: Catalog,
    wanted: Wanted,
    speech: Speech,
    preferences: Preferences,
    policy: Policy,
    standings: Standings,
) -> Plan:
    """Sort the offers of the wanted models into choices and exclusions."""
    cap = preferences.cap.nano(len(speech.text))
    spoken_ms = longest_ms(speech.text, speech.speed)
    choices: list[tuple[tuple[object, ...], Choice]] = []
    exclusions: list[Exclusion] = []
    for rank, model in enumerate(wanted.models):
        for offer in catalog.models[model]:
            bound = upper_bound(offer.price, speech.text, spoken_ms, speech.instructions)
            verdict = _barred(offer, speech, preferences) or _judge(
                catalog, offer, speech, preferences, cap, bound
            )
            if isinstance(verdict, Exclusion):
                exclusions.append(verdict)
                continue
            candidate = Candidate(offer, bound, standings.of(offer.name))
            order = (rank, _position(offer, preferences.order), SORT_KEYS[policy](candidate))
            choices.append((order, verdict))
    choices.sort(key=lambda each: each[0])
    ordered = tuple(choice for _, choice in choices)
    if not preferences.allow_fallbacks:
        ordered = ordered[:1]
    return Plan(ordered, tuple(exclusions), policy)


def explain(plan: Plan, speech: Speech) -> GatewayError:
    """Why a plan has no choice, told as what the caller can change.

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
    told = _details(plan.exclusions)
    return ConstraintFiltered(f"no offer meets every constraint ({told})", param="provider")


def _barred(offer: Offer, speech: Speech, preferences: Preferences) -> Exclusion | None:
    """What the caller's key may not use is told nothing else of."""
    voice = preferences.voices.get(offer.provider, speech.voice) or offer.default_voice
    barred = preferences.allowed.bars(offer.model, offer.provider, voice)
    if barred is None:
        return None
    param, name = barred
    return Exclusion(offer, "key", f"{param} {name[:100]!r}", param=param)


def _judge(  # noqa: PLR0911, PLR0913, PLR0917  # one return a reason
    catalog: Catalog,
    offer: Offer,
    speech: Speech,
    preferences: Preferences,
    cap: int | None,
    bound: int | None,
) -> Choice | Exclusion:
    provider = catalog.providers[offer.provider]
    name = offer.provider
    if provider.off:
        return Exclusion(offer, "off", provider.off)
    if preferences.only and name not in preferences.only:
        return Exclusion(offer, "only", "not among provider.only")
    if name in preferences.ignore:
        return Exclusion(offer, "ignore", "named by provider.ignore")
    if not preferences.allow_fallbacks and preferences.order and name not in preferences.order:
        return Exclusion(offer, "order", "not in provider.order, and fallbacks are off")
    if preferences.refuse_data_collection and offer.data_policy != "none":
        return Exclusion(offer, "data", "it may keep what it is sent")
    asked = preferences.voices.get(name, speech.voice)
    voice = _voice(catalog, offer, asked, preferences)
    if voice is None:
        return Exclusion(offer, "voice", f"has no voice {asked[:100]!r}")
    if preferences.require_parameters and (missing := _missing(offer, speech)):
        return Exclusion(offer, "parameters", f"does not take {', '.join(missing)}")
    if too_long := offer.too_long(speech.text):
        return Exclusion(offer, "long", too_long)
    if cap is not None and (too_dear := _too_dear(bound, cap)):
        return Exclusion(offer, "price", too_dear, bound)
    return Choice(offer, voice, _native(offer, speech), bound)


def _voice(catalog: Catalog, offer: Offer, asked: str, preferences: Preferences) -> str | None:
    if not asked:
        return offer.default_voice
    if preferences.voice_switch == "never":
        return asked if asked in offer.voices else None
    mapped = catalog.kin(offer, asked)
    if mapped is None and preferences.voice_switch == "any":
        voice, allowed = offer.default_voice, preferences.allowed.voices
        return voice if allowed is None or voice in allowed else None
    return mapped


def _forbidden(nearest: list[Exclusion]) -> Forbidden:
    param = max((each.param for each in nearest), key=FIELDS.index)
    told = _details(each for each in nearest if each.param == param)
    return Forbidden(f"{param}: this API key may not use it ({told})", param=param)


def _missing(offer: Offer, speech: Speech) -> list[str]:
    asked = {
        "speed": speech.speed not in {None, 1.0},
        "instructions": bool(speech.instructions),
        **dict.fromkeys(speech.sampling.chosen(), True),
    }
    return [name for name, wanted in asked.items() if wanted and name not in offer.capabilities]


def _too_dear(bound: int | None, cap: int) -> str | None:
    if bound is None:
        return "its price is not known"
    return f"may cost {usd(bound)} USD" if bound > cap else None


def _native(offer: Offer, speech: Speech) -> str:
    """The format to ask the offer for: the caller's own, unless it must be resampled anyway."""
    resampled = speech.sample_rate not in {None, offer.sample_rate}
    if speech.format in offer.formats and not resampled:
        return speech.format
    return next(name for name in EASIEST if name in offer.formats)


def _position(offer: Offer, order: tuple[str, ...]) -> int:
    return order.index(offer.provider) if offer.provider in order else len(order)


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

"""Judging: whether an offer may say a speech, in which voice and format, or why it may not."""

from dataclasses import dataclass
from typing import Literal, get_args

from gateway.metering.prices import usd
from gateway.routing.preferences import Preferences
from providers import Catalog, Offer, Speech

# What to ask for when an offer has not the format that was asked: nearest to plain samples first.
EASIEST = ("pcm", "wav", "flac", "opus", "mp3", "aac")

Reason = Literal[
    "key",
    "off",
    "only",
    "ignore",
    "order",
    "data",
    "voice",
    "parameters",
    "long",
    "price",
    "fallbacks",
    "budget",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order in which they are looked at: the later, the nearer an offer came to speaking."""


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
    """The most that it would cost; None when that is not known, or nobody's business."""
    param: str = "provider"
    """The body's field that it is about."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Sorts offers into those that may and those that may not, for one request."""

    catalog: Catalog
    speech: Speech
    preferences: Preferences
    cap_nano: int | None

    def verdict(self, offer: Offer, bound: int | None) -> Choice | Exclusion:
        """bound: the most that it can cost there."""
        if (barred := self._barred(offer)) is not None:
            return barred
        why_not = self._unwanted(offer) or self._unable(offer) or self._too_dear(offer, bound)
        if why_not is not None:
            # Not by `replace`, which takes longer than all else here; most offers may be off.
            return Exclusion(offer, why_not.reason, why_not.detail, bound, why_not.param)
        voice = self._voice(offer) or offer.default_voice
        return Choice(offer, voice, self._native(offer), bound)

    def _barred(self, offer: Offer) -> Exclusion | None:
        """What the caller's key may not use is told nothing else of."""
        voice = self._asked(offer) or offer.default_voice
        barred = self.preferences.allowed.bars(offer.model, offer.provider, voice)
        if barred is None:
            return None
        param, name = barred
        return Exclusion(offer, "key", f"{param} {name[:100]!r}", param=param)

    def _unwanted(self, offer: Offer) -> Exclusion | None:
        wants, name = self.preferences, offer.provider
        if off := self.catalog.providers[name].off:
            return Exclusion(offer, "off", off)
        if wants.only and name not in wants.only:
            return Exclusion(offer, "only", "not among provider.only")
        if name in wants.ignore:
            return Exclusion(offer, "ignore", "named by provider.ignore")
        if not wants.allow_fallbacks and wants.order and name not in wants.order:
            return Exclusion(offer, "order", "not in provider.order, and fallbacks are off")
        if wants.refuse_data_collection and offer.data_policy != "none":
            return Exclusion(offer, "data", "it may keep what it is sent")
        return None

    def _unable(self, offer: Offer) -> Exclusion | None:
        if self._voice(offer) is None:
            return Exclusion(offer, "voice", f"has no voice {self._asked(offer)[:100]!r}")
        if self.preferences.require_parameters and (missing := self._missing(offer)):
            return Exclusion(offer, "parameters", f"does not take {', '.join(missing)}")
        if too_long := offer.too_long(self.speech.text):
            return Exclusion(offer, "long", too_long)
        return None

    def _too_dear(self, offer: Offer, bound: int | None) -> Exclusion | None:
        if self.cap_nano is None:
            return None
        if bound is None:
            return Exclusion(offer, "price", "its price is not known")
        if bound <= self.cap_nano:
            return None
        return Exclusion(offer, "price", f"may cost {usd(bound)} USD")

    def _asked(self, offer: Offer) -> str:
        return self.preferences.voice_at(offer.provider, offer.model, self.speech.voice)

    def _voice(self, offer: Offer) -> str | None:
        asked, wants = self._asked(offer), self.preferences
        if not asked:
            return offer.default_voice
        if wants.voice_switch == "never":
            return asked if asked in offer.voices else None
        mapped = self.catalog.kin(offer, asked)
        if mapped is None and wants.voice_switch == "any":
            voice, allowed = offer.default_voice, wants.allowed.voices
            return voice if allowed is None or voice in allowed else None
        return mapped

    def _missing(self, offer: Offer) -> list[str]:
        asked = {
            "speed": self.speech.speed not in {None, 1.0},
            "instructions": bool(self.speech.instructions),
            "context": bool(self.speech.context),
            **dict.fromkeys(self.speech.sampling.chosen(), True),
        }
        return [name for name, wanted in asked.items() if wanted and name not in offer.capabilities]

    def _native(self, offer: Offer) -> str:
        """The format to ask the offer for: the caller's own, unless it must be resampled anyway."""
        resampled = self.speech.sample_rate not in {None, offer.sample_rate}
        if self.speech.format in offer.formats and not resampled:
            return self.speech.format
        return next(name for name in EASIEST if name in offer.formats)

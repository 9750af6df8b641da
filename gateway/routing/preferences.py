"""Preferences: what a caller wants of whoever speaks, beside the speech itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from gateway.access.allowed import EVERYTHING, Allowed
from gateway.metering.prices import NANO_PER_USD

MILLION = 10**6

VoiceSwitch = Literal["never", "mapped", "any"]


@dataclass(frozen=True, slots=True)
class PriceCap:
    """The most a request may cost; both may be set."""

    usd_per_million_characters: Decimal | None = None
    usd_per_request: Decimal | None = None

    def nano(self, characters: int) -> int | None:
        """The cap for this text, in whole nano-USD, rounded down."""
        caps = []
        if self.usd_per_million_characters is not None:
            per_character = Fraction(self.usd_per_million_characters) * NANO_PER_USD / MILLION
            caps.append(int(per_character * characters))
        if self.usd_per_request is not None:
            caps.append(int(Fraction(self.usd_per_request) * NANO_PER_USD))
        return min(caps, default=None)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The request's `provider` object, and what its key lets it have."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    refuse_data_collection: bool = False
    cap: PriceCap = PriceCap()
    voices: Mapping[str, str] = field(default_factory=dict)
    """Provider -> the voice to use there."""
    voice_switch: VoiceSwitch = "mapped"
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    allowed: Allowed = EVERYTHING

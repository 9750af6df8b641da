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
Partition = Literal["model", "none"]
Continuity = Literal["none", "sentence"]
Percentile = Literal["p50", "p75", "p90", "p95", "p99"]


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

    def lower(self, other: "PriceCap") -> "PriceCap":
        """Whichever of the two caps is lower, of each kind."""
        return PriceCap(
            _lower(self.usd_per_million_characters, other.usd_per_million_characters),
            _lower(self.usd_per_request, other.usd_per_request),
        )


def _lower(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return min((each for each in (one, other) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The request's `provider` object, and what its key lets it have. Names are in lower case."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    refuse_data_collection: bool = False
    cap: PriceCap = PriceCap()
    voices: Mapping[str, str] = field(default_factory=dict)
    """Provider -> the voice to use there."""
    model_voices: Mapping[str, str] = field(default_factory=dict)
    """Model -> the voice to use there, where its provider has none above: a task's own."""
    voice_switch: VoiceSwitch = "mapped"
    partition: Partition = "model"
    """Whether models are tried in their order, or offers are ranked across all of them."""
    latency_ms: Mapping[Percentile, float] = field(default_factory=dict)
    """Offers slower to first audio than any of these go last."""
    throughput: Mapping[Percentile, float] = field(default_factory=dict)
    """Offers that make less audio in a second, in seconds, than any of these go last."""
    hedge: bool | None = None
    """Whether a second offer may start when the first is late; None: nobody has said so."""
    continuity: Continuity = "none"
    """Whether a clip that breaks is gone on with, from the next sentence, by another offer."""
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    allowed: Allowed = EVERYTHING

    def voice_at(self, provider: str, model: str, otherwise: str) -> str:
        """The voice that is asked of this offer; empty: its own choice."""
        return self.voices.get(provider) or self.model_voices.get(model) or otherwise

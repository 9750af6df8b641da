"""Offers as pages show them: one row each, with its state, its price and its policy in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from math import inf

from gateway.endpoints.listing import Shown
from gateway.endpoints.offers import PICO, QUICKEST
from gateway.endpoints.state import Gateway
from gateway.routing.plan import Moment
from gateway.routing.policies import Policy
from gateway.routing.standings import Rest, Standing
from providers import Offer, Price, Provider

MILLION = 10**6
POLICIES: dict[Policy, str] = {
    "balanced": (
        "lots are drawn among the offers that are well, weighted by the inverse square of what "
        "the text may cost at most; what is free goes before what is not"
    ),
    "price": "the cheapest for the text goes first, then the better",
    "latency": "the shortest median time to first audio goes first",
    "throughput": "who makes the most audio in a second goes first",
    "quality": "the best score in the catalogue goes first, then the cheaper",
    "availability": "who failed least lately goes first, then the cheaper",
}
"""Who goes first among the offers of a model."""


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer with its provider, and how it does now."""

    offer: Offer
    provider: Provider
    standing: Standing
    rest: Rest | None
    """Why it may not be asked now; None of one that is off."""
    room: int
    """Requests at once that it may get at present."""

    @property
    def state(self) -> str:
        if self.provider.off:
            return "off"
        if self.rest is None:
            return "ready"
        if self.rest.is_full:
            return "full"
        return "breaker open" if self.rest.is_broken else "resting"

    @property
    def mood(self) -> str:
        """The state's colour."""
        moods = {"ready": "good", "off": "soft", "full": "warn", "resting": "warn"}
        return moods.get(self.state, "bad")

    @property
    def why(self) -> str:
        if self.provider.off:
            return self.provider.off
        return self.rest.reason if self.rest else ""

    @property
    def seconds(self) -> float | None:
        """For how long it is left alone."""
        return self.rest.seconds if self.rest and not self.rest.is_full else None

    @property
    def price(self) -> str:
        return price_words(self.offer.price)

    @property
    def usd_per_million(self) -> float:
        """The most that a million characters may cost; infinite where nobody knows."""
        return Shown(self.offer.model, (self.offer,)).usd_per_million

    @property
    def throughput(self) -> float | None:
        """Seconds of audio made in a second, at the median."""
        factor = self.standing.real_time_factor
        return 1 / max(factor.p50, QUICKEST) if factor else None

    @property
    def limits(self) -> str:
        told = []
        if self.offer.max_characters:
            told.append(f"{self.offer.max_characters:,} characters")
        if self.offer.max_bytes:
            told.append(f"{self.offer.max_bytes:,} bytes")
        return ", ".join(told) or "none known"


def offer_rows(gateway: Gateway, offers: Iterable[Offer], moment: Moment) -> list[OfferRow]:
    """Those that can be asked first, as the catalogue has them otherwise."""
    providers, standings, now = gateway.routes.catalog.providers, moment.standings, moment.now
    rows = []
    for offer in offers:
        provider = providers[offer.provider]
        rest = standings.resting(provider, offer, offer.default_voice, now)
        rows.append(
            OfferRow(
                offer=offer,
                provider=provider,
                standing=standings.of(offer.name, now),
                rest=None if provider.off else rest,
                room=standings.room(offer.name),
            )
        )
    return sorted(rows, key=lambda row: bool(row.provider.off))


def price_words(price: Price) -> str:
    """What is paid, for how much of what."""
    match price.per:
        case "character" | "byte":
            return f"${_usd(price.rate * MILLION)} per million {price.per}s"
        case "token":
            into, out = _usd(price.input_rate * MILLION), _usd(price.output_rate * MILLION)
            return f"${into} in, ${out} out per million tokens"
        case "second":
            return f"${_usd(price.rate)} per second of audio"
        case "run":
            return f"${_usd(price.rate)} per request"
        case "free":
            return "free"
        case "unknown":
            return "not known"


def from_words(usd_per_million: float) -> str:
    """The price of a million characters, whatever unit it is paid by."""
    if usd_per_million == inf:
        return "not known"
    return "free" if usd_per_million == 0 else f"${usd_per_million:,.2f}"


def range_words(rows: Iterable[OfferRow]) -> str:
    """From the cheapest to the dearest."""
    known = sorted(row.usd_per_million for row in rows if row.usd_per_million < inf)
    if not known:
        return "not known"
    least, most = from_words(known[0]), from_words(known[-1])
    return least if least == most else f"{least} to {most}"


def _usd(pico: int) -> str:
    told = f"{Decimal(pico) / PICO:f}"
    whole, _, rest = told.partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest:0<2}" if rest else whole

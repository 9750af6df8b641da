"""Listing: which models a client wants to see, and in which order; by OpenRouter's parameters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from litestar import Request

from gateway.endpoints.offers import ARCHITECTURE, created, description, parameters
from gateway.metering.prices import NANO_PER_USD, dearness, upper_bound
from gateway.metering.spoken import longest_ms
from gateway.routing.standings import Standing
from providers import Offer, Price

# Offers priced in different units are compared by what a page of text may cost at most.
PAGE = "e" * 1800
PAGE_MS = longest_ms(PAGE)
MILLION = 10**6
Seen = Callable[[Offer], Standing]
"""How an offer did lately."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A name that speaks: a model, a task or an alias."""

    name: str
    offers: tuple[Offer, ...]
    """Those whose provider is on, first choice first."""

    @property
    def first(self) -> tuple[Offer, ...]:
        """The offers of the model that is asked first."""
        return tuple(each for each in self.offers if each.model == self.offers[0].model)

    @property
    def cheapest(self) -> Price:
        return min((offer.price for offer in self.first), key=page_price)

    @property
    def usd_per_million(self) -> float:
        """The most that a million characters may cost; infinite where nobody knows."""
        return page_price(self.cheapest) * MILLION / len(PAGE) / NANO_PER_USD

    @property
    def longest(self) -> int | None:
        """The most characters that it takes at once."""
        return max((offer.max_characters or 0 for offer in self.offers), default=0) or None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown; an empty set wants nothing in particular."""

    outputs: frozenset[str] = frozenset()
    inputs: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    q: str = ""
    zdr: bool = False
    min_price: float = 0.0
    """USD per million characters."""
    max_price: float = inf

    def wants(self, shown: Shown) -> bool:
        author = shown.name.partition("/")[0]
        return (
            self._gives("output_modalities", self.outputs)
            and self._gives("input_modalities", self.inputs)
            and any(self.parameters <= set(parameters(offer)) for offer in shown.offers)
            and self._at(shown.offers)
            and (not self.authors or author in self.authors)
            and self.q in f"{shown.name} {description(shown.offers)}".casefold()
            and (not self.zdr or any(offer.data_policy == "none" for offer in shown.offers))
            and self.min_price <= shown.usd_per_million <= self.max_price
        )

    def _gives(self, modality: str, wanted: frozenset[str]) -> bool:
        return not wanted or bool(wanted & {"all", *ARCHITECTURE[modality]})

    def _at(self, offers: Iterable[Offer]) -> bool:
        return not self.providers or any(offer.provider in self.providers for offer in offers)


def wish_of(request: Request[Any, Any, Any], **prices: float | None) -> Wish:
    """The query parameters as a wish; lists are separated by commas, case does not matter."""

    def listed(name: str) -> frozenset[str]:
        said = request.query_params.get(name, "").casefold()
        return frozenset(each.strip() for each in said.split(",") if each.strip())

    return Wish(
        outputs=listed("output_modalities"),
        inputs=listed("input_modalities"),
        parameters=listed("supported_parameters"),
        providers=listed("providers"),
        authors=listed("model_authors"),
        q=request.query_params.get("q", "").strip().casefold(),
        zdr=request.query_params.get("zdr") == "true",
        **{name: price for name, price in prices.items() if price is not None},
    )


def in_order(shown: Iterable[Shown], sort: str | None, seen: Seen) -> list[Shown]:
    """Sorted as OpenRouter names it; by what nobody measures here, as they stood."""
    key = SORTS.get(sort or "")
    return list(shown) if key is None else sorted(shown, key=lambda each: key(each, seen))


def page_price(price: Price) -> float:
    return dearness(upper_bound(price, PAGE, PAGE_MS))


def _costly(shown: Shown, _: Seen) -> float:
    """What nobody knows comes last either way."""
    return inf if shown.usd_per_million == inf else -shown.usd_per_million


def _latency(shown: Shown, seen: Seen) -> float:
    medians = [found.p50 for each in shown.first if (found := seen(each).first_audio_ms)]
    return min(medians, default=inf)


def _throughput(shown: Shown, seen: Seen) -> float:
    factors = [found.p50 for each in shown.first if (found := seen(each).real_time_factor)]
    return min(factors, default=inf)


def _age(shown: Shown, _: Seen) -> float:
    return -created(shown.offers)


SORTS: dict[str, Callable[[Shown, Seen], float]] = {
    "pricing-low-to-high": lambda shown, _: shown.usd_per_million,
    "pricing-high-to-low": _costly,
    "context-high-to-low": lambda shown, _: -(shown.longest or 0),
    "latency-low-to-high": _latency,
    "throughput-high-to-low": _throughput,
    "newest": _age,
}

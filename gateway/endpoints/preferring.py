"""The speech body's `provider` object: checked, and turned into preferences."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar, get_args

from gateway.endpoints.decoding import wrong
from gateway.endpoints.shapes import Money, PercentileMap, ProviderBody, SortMap
from gateway.routing.policies import Policy
from gateway.routing.preferences import Percentile, Preferences, PriceCap

Value = TypeVar("Value")
MOST_USD = 10**9
FINEST_USD = 30
"""How many decimals an amount of USD may have."""


def preferences(provider: ProviderBody) -> Preferences:
    order, only, ignore = map(_slugs, (provider.order, provider.only, provider.ignore))
    if both := [name for name in only if name in ignore]:
        raise wrong("provider.ignore", f"{both[0][:100]!r} stands in provider.only, too")
    sort = provider.sort if isinstance(provider.sort, SortMap) else SortMap()
    return Preferences(
        order=order,
        only=only,
        ignore=ignore,
        allow_fallbacks=provider.allow_fallbacks is not False,
        require_parameters=bool(provider.require_parameters),
        refuse_data_collection=provider.data_collection == "deny" or bool(provider.zdr),
        cap=_cap(provider.max_price),
        voices=_by_slug(provider.voices),
        voice_switch=provider.voice_switch or "mapped",
        partition=sort.partition or "model",
        latency_ms=_latency(provider),
        throughput=_throughput(provider),
        hedge=provider.hedge,
        continuity=provider.continuity or "none",
        options=_by_slug(provider.options),
    )


def _slugs(given: list[str] | None) -> tuple[str, ...]:
    """Providers' names; theirs are in lower case, and a client's need not be."""
    return tuple(dict.fromkeys(name.lower() for name in given or ()))


def _by_slug(given: Mapping[str, Value] | None) -> Mapping[str, Value]:
    return {name.lower(): value for name, value in (given or {}).items()}


def _latency(provider: ProviderBody) -> Mapping[Percentile, float]:
    seconds = _percentiles(provider.preferred_max_latency)
    most = {name: value * 1000 for name, value in seconds.items()}
    if provider.max_latency_ms is not None:
        most["p50"] = min(provider.max_latency_ms, most.get("p50", provider.max_latency_ms))
    return most


def _throughput(provider: ProviderBody) -> Mapping[Percentile, float]:
    least = _percentiles(provider.preferred_min_throughput)
    if provider.min_throughput is not None:
        least["p50"] = max(provider.min_throughput, least.get("p50", provider.min_throughput))
    return least


def _percentiles(given: float | PercentileMap | None) -> dict[Percentile, float]:
    """A number alone is about the median."""
    if given is None:
        return {}
    if isinstance(given, PercentileMap):
        named: dict[Percentile, float | None] = {n: getattr(given, n) for n in get_args(Percentile)}
        return {name: value for name, value in named.items() if value is not None}
    return {"p50": given}


def policy(provider: ProviderBody) -> Policy | None:
    return provider.sort.by if isinstance(provider.sort, SortMap) else provider.sort


def _cap(price: Money | Mapping[str, Money | None] | None) -> PriceCap:
    """USD per million characters; as a map, `request` bounds the whole request."""
    if not isinstance(price, Mapping):
        return PriceCap(usd_per_million_characters=_usd(price, "provider.max_price"))
    if unknown := sorted(price.keys() - {"prompt", "request", "completion", "audio", "image"}):
        named = f"provider.max_price.{unknown[0][:100]}"
        raise wrong(named, "is unknown; `prompt` and `request` count")
    return PriceCap(
        usd_per_million_characters=_usd(price.get("prompt"), "provider.max_price.prompt"),
        usd_per_request=_usd(price.get("request"), "provider.max_price.request"),
    )


def _usd(amount: Money | None, field: str) -> Decimal | None:
    if amount is None:
        return None
    told = str(amount)[:40]
    try:
        usd = Decimal(str(amount))
    except InvalidOperation:
        raise wrong(field, f"{told!r} is not a decimal number of USD") from None
    exponent = usd.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -FINEST_USD or not 0 <= usd <= MOST_USD:
        raise wrong(field, f"{told!r} is not an amount of USD from 0 to {MOST_USD}")
    return usd

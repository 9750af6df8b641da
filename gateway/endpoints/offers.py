"""Offers as they are told: where a model is to be had, at what price, and how each one does."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from gateway.routing.standings import Percentiles, Rest, Standing, Standings
from providers import Catalog, Offer, Price, Provider

PICO = 10**12
# What OpenRouter's own lists say where a price depends or is not known; "0" would mean free.
NOT_KNOWN = "-1"
# OpenRouter's clients want a number of characters; beyond it no request's body is taken either.
UNBOUNDED = 2**20
# Their enum has no names; what is not well is told in words beside it.
WELL, NOT_WELL = 0, -1
QUICKEST = 1e-6
"""Below it a real-time factor is the clock's, and has no reciprocal worth telling."""
DAY_SECONDS, UNIX_DAY = 86_400, date(1970, 1, 1)
ALWAYS = frozenset({"response_format", "voice"})
"""Fields of a body that every offer heeds."""
NO_FIELDS = frozenset({"cloning", "ssml", "streaming"})
"""Capabilities that are no fields of a body."""
ARCHITECTURE: dict[str, Any] = {
    "modality": "text->speech",
    "input_modalities": ["text"],
    "output_modalities": ["speech"],
    "tokenizer": None,
    "instruct_type": None,
}


def pricing(price: Price) -> dict[str, str]:
    """USD per unit of what goes in and what comes out; `per` names the unit."""
    if price.per == "unknown":
        return {"per": price.per, "prompt": NOT_KNOWN, "completion": NOT_KNOWN}
    into, out, request = price.rate, 0, 0
    if price.per == "token":
        into, out = price.input_rate, price.output_rate
    elif price.per == "second":
        into, out = 0, price.rate
    elif price.per == "run":
        into, request = 0, price.rate
    amounts = {"prompt": into, "completion": out, "request": request}
    return {"per": price.per} | {name: f"{Decimal(n) / PICO:f}" for name, n in amounts.items()}


def parameters(offer: Offer) -> list[str]:
    """The fields of a body that it heeds."""
    return sorted(ALWAYS | (offer.capabilities - NO_FIELDS))


def created(offers: Iterable[Offer]) -> int:
    """When the first of them was made public, in unix seconds; 0 where nobody knows."""
    days = [offer.released for offer in offers if offer.released]
    return (min(days) - UNIX_DAY).days * DAY_SECONDS if days else 0


def description(offers: Iterable[Offer]) -> str:
    return next((offer.description for offer in offers if offer.description), "")


def endpoints(
    name: str, offers: Iterable[Offer], catalog: Catalog, standings: Standings, now: float
) -> dict[str, Any]:
    """A model in the shape of OpenRouter's `/endpoints`: its offers, those that are off too."""
    offers = list(offers)
    rows = [(offer, catalog.providers[offer.provider]) for offer in offers]
    return {
        "id": name,
        "name": name,
        "created": created(offers),
        "description": description(offers),
        "architecture": ARCHITECTURE,
        "endpoints": [
            endpoint(offer, row, standings.of(offer.name, now), _rest(row, offer, standings, now))
            for offer, row in rows
        ],
    }


def resting(catalog: Catalog, standings: Standings, now: float) -> dict[str, dict[str, Any]]:
    """Each provider's models that may not be asked now, with why and for how long."""
    told: dict[str, dict[str, Any]] = {}
    for offers in catalog.models.values():
        for offer in offers:
            rest = _rest(catalog.providers[offer.provider], offer, standings, now)
            if rest is not None:
                told.setdefault(offer.provider, {})[offer.model] = _rest_told(rest)
    return told


def endpoint(
    offer: Offer, provider: Provider, standing: Standing, rest: Rest | None
) -> dict[str, Any]:
    """An offer as OpenRouter tells an endpoint, with our own fields beside."""
    not_well = provider.off is not None or (rest is not None and not rest.is_full)
    theirs = _NEVER_OF_SPEECH | {
        "name": offer.name,
        "model_id": offer.model,
        "model_name": offer.model,
        "provider_name": offer.provider,
        "tag": offer.provider,
        "pricing": pricing(offer.price),
        "context_length": offer.max_characters or offer.max_bytes or UNBOUNDED,
        "supported_parameters": parameters(offer),
        "supports_voice_cloning": "cloning" in offer.capabilities,
        "status": NOT_WELL if not_well else WELL,
    }
    return theirs | _done(standing) | _own(offer, provider, rest)


def _done(standing: Standing) -> dict[str, Any]:
    """What was lately seen of it."""
    latency = _percentiles(standing.first_audio_ms)
    factor = standing.real_time_factor
    throughput = _percentiles(factor and _reciprocal(factor))
    work = {"latency": latency, "throughput": throughput, "request_count": standing.attempts}
    return {
        "uptime_last_5m": standing.uptime_5m,
        "uptime_last_30m": standing.uptime_30m,
        "uptime_last_1d": standing.uptime_1d,
        "latency_last_30m": latency,
        "throughput_last_30m": throughput,
        "perf_last_30m_by_workload": {"tts": work},
        "attempts": standing.attempts,
        "failures": dict(standing.failures),
        "in_flight": standing.in_flight,
        "real_time_factor": _percentiles(factor),
    }


def _own(offer: Offer, provider: Provider, rest: Rest | None) -> dict[str, Any]:
    """What their shape has no word for."""
    return {
        "voices": sorted(offer.voices),
        "default_voice": offer.default_voice,
        "formats": sorted(offer.formats),
        "languages": list(offer.languages),
        "capabilities": sorted(offer.capabilities),
        "quality": offer.quality,
        "quality_source": offer.quality_source,
        "data_policy": offer.data_policy,
        "credentials": len(provider.credentials),
        "off": provider.off,
        "resting": rest and _rest_told(rest),
    }


def _rest(provider: Provider, offer: Offer, standings: Standings, now: float) -> Rest | None:
    if provider.off:
        return None  # it is not there to be asked
    return standings.resting(provider, offer, offer.default_voice, now)


def _rest_told(rest: Rest) -> dict[str, Any]:
    return {"reason": rest.reason, "seconds": round(rest.seconds, 3)}


def _percentiles(seen: Percentiles | None) -> dict[str, float] | None:
    return None if seen is None else asdict(seen)


def _reciprocal(factor: Percentiles) -> Percentiles:
    """Seconds of audio per second; nine of ten requests were as quick as its p90, or quicker."""
    return Percentiles(**{name: 1 / max(n, QUICKEST) for name, n in asdict(factor).items()})


# Fields that OpenRouter's SDK wants to find and that an offer of speech has nothing to say in.
_NEVER_OF_SPEECH: dict[str, Any] = {
    "max_completion_tokens": None,
    "max_prompt_tokens": None,
    "native_tools": {},
    "quantization": None,
    "service_tier": None,
    "supports_diarization": False,
    "supports_implicit_caching": False,
    "supports_tool_choice": dict.fromkeys(("auto", "function", "none", "required"), False),
}

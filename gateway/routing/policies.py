"""Policies: what "best" means, as pure sort keys over offers and their standings; least first."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.metering.prices import dearness
from gateway.routing.standings import Standing
from providers import Offer

Policy = Literal["price", "latency", "quality", "throughput", "availability"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
SUFFIXES: dict[str, Policy] = {"nitro": "throughput", "floor": "price"}
"""OpenRouter's model suffixes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer as a policy sees it."""

    offer: Offer
    bound_nano: int | None
    """The most this text can cost there; None when its price is not known."""
    standing: Standing


def _latency(candidate: Candidate) -> tuple[float, float]:
    standing = candidate.standing
    return (_seen(standing.first_audio_ms, standing), standing.real_time_factor or 0.0)


def _throughput(candidate: Candidate) -> tuple[float, float]:
    standing = candidate.standing
    return (_seen(standing.real_time_factor, standing), standing.first_audio_ms or 0.0)


def _seen(value: float | None, standing: Standing) -> float:
    """A stranger goes before the known ones once; then it is known, by its speed or its failure."""
    if value is not None:
        return value
    return math.inf if standing.failures > standing.successes else 0.0


def _price(candidate: Candidate) -> tuple[float, float]:
    return (dearness(candidate.bound_nano), -(candidate.offer.quality or 0.0))


def _quality(candidate: Candidate) -> tuple[float, float]:
    return (-(candidate.offer.quality or 0.0), dearness(candidate.bound_nano))


def _availability(candidate: Candidate) -> tuple[float, float]:
    return (-candidate.standing.availability(), dearness(candidate.bound_nano))


SORT_KEYS: dict[Policy, Callable[[Candidate], tuple[float, float]]] = {
    "price": _price,
    "latency": _latency,
    "quality": _quality,
    "throughput": _throughput,
    "availability": _availability,
}

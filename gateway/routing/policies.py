"""Policies: what "best" means, as pure sort keys over offers and their standings; least first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from gateway.metering.prices import dearness
from gateway.routing.standings import Standing
from providers import Offer

Policy = Literal["balanced", "price", "latency", "quality", "throughput", "availability"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
SUFFIXES: dict[str, Policy] = {"nitro": "throughput", "floor": "price"}
"""OpenRouter's model suffixes."""
FASTEST_FIRST: tuple[Policy, ...] = ("latency", "throughput")
"""Policies that go by what was seen, and so would never ask an offer that nobody has asked."""
WELL = 0.8
"""How available an offer is that counts as well: half a minute after a lone failure it is again."""
Key = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer as a policy sees it."""

    offer: Offer
    bound_nano: int | None
    """The most this text can cost there; None when its price is not known."""
    standing: Standing
    lot: float = 1.0
    """Its lot in the draw of `balanced`: exponential, of mean 1."""


def _latency(candidate: Candidate) -> Key:
    first_audio, factor = candidate.standing.first_audio_ms, candidate.standing.real_time_factor
    if first_audio is None:
        return (1.0, *_price(candidate))
    return (0.0, first_audio.p50, factor.p50 if factor else 0.0)


def _throughput(candidate: Candidate) -> Key:
    first_audio, factor = candidate.standing.first_audio_ms, candidate.standing.real_time_factor
    if factor is None:
        return (1.0, *_price(candidate))
    return (0.0, factor.p50, first_audio.p50 if first_audio else 0.0)


def _price(candidate: Candidate) -> Key:
    return (dearness(candidate.bound_nano), -(candidate.offer.quality or 0.0))


def _quality(candidate: Candidate) -> Key:
    return (-(candidate.offer.quality or 0.0), dearness(candidate.bound_nano))


def _availability(candidate: Candidate) -> Key:
    return (-candidate.standing.availability, dearness(candidate.bound_nano))


def _balanced(candidate: Candidate) -> Key:
    """Lots divided by weights, least first, draw without replacement (Efraimidis, Spirakis)."""
    return (*_league(candidate), candidate.lot / _weight(candidate))


def _league(candidate: Candidate) -> Key:
    """Lots are drawn among those that are well, and of these among those that cost alike."""
    return (float(candidate.standing.availability < WELL), _purse(candidate))


def _purse(candidate: Candidate) -> float:
    """What costs nothing goes before what does, and that before what nobody knows."""
    if candidate.bound_nano is None:
        return 2.0
    return 1.0 if candidate.bound_nano else 0.0


def _weight(candidate: Candidate) -> float:
    """The inverse square of what it may cost."""
    return 1.0 / (candidate.bound_nano or 1) ** 2


SORT_KEYS: dict[Policy, Callable[[Candidate], Key]] = {
    "balanced": _balanced,
    "price": _price,
    "latency": _latency,
    "quality": _quality,
    "throughput": _throughput,
    "availability": _availability,
}


def shares(policy: Policy, equals: Sequence[Candidate]) -> list[float | None]:
    """How often each of these, among which only the policy decides, goes first: 0 to 1.

    None under a policy that draws no lots.
    """
    if policy != "balanced":
        return [None] * len(equals)
    first = min(map(_league, equals), default=())
    weights = [_weight(each) if _league(each) == first else 0.0 for each in equals]
    return [weight / sum(weights) for weight in weights]

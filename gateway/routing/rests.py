"""Rests: for how long a credential, a voice or an offer is left alone after it said no."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from providers import (
    CredentialRefused,
    NotOffered,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
)

LONGEST_WAIT = 120.0
"""What a provider may ask for, in seconds."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Rest:
    """Why an offer may not be asked now, and for how long."""

    seconds: float
    reason: str
    is_full: bool = False
    """Whether it only has enough to do; a place may come free at any moment."""
    is_broken: bool = False
    """Whether a breaker keeps it, which gives way where nobody else is left."""
    is_lot: bool = False
    """Whether only luck was against it: it has just recovered, and gets a part of the requests."""


class Whom(NamedTuple):
    """Who is asked, and with which credential's variable (empty: it wants none)."""

    provider: str
    offer: str
    voice: str
    variable: str


@dataclass(frozen=True, slots=True, eq=False)
class _Rule:
    """Who rests after a failure, and for how long: twice as long each time, to `longest`."""

    of: Callable[[Whom], object]
    reason: str
    seconds: float
    longest: float


_RATE = _Rule(attrgetter("provider", "variable"), "its rate limit is reached", 1.0, MINUTE)
_QUOTA = _Rule(
    attrgetter("provider", "variable"), "our credit there is used up", 5 * MINUTE, 60 * MINUTE
)
_KEY = _Rule(
    attrgetter("provider", "variable"), "it does not accept our key", 5 * MINUTE, 60 * MINUTE
)
_VOICE_OF_KEY = _Rule(
    attrgetter("offer", "voice", "variable"),
    "it does not let our key use this voice",
    10 * MINUTE,
    10 * MINUTE,
)
_VOICE = _Rule(
    attrgetter("offer", "voice"), "it does not know this model or voice", 10 * MINUTE, 10 * MINUTE
)
_WAIT = _Rule(attrgetter("offer", "variable"), "it asked to be left alone", 1.0, MINUTE)
_RULES = (_RATE, _QUOTA, _KEY, _VOICE_OF_KEY, _VOICE, _WAIT)


@dataclass(slots=True)
class _Gate:
    until: float
    times: int = 1
    """How often it closed with no success in between."""


class Rests:
    """Who rests now. Its memory is bounded by the catalogue's offers, voices and credentials."""

    def __init__(self) -> None:
        self._gates: dict[_Rule, dict[object, _Gate]] = {rule: {} for rule in _RULES}

    def of(self, whom: Whom, now: float) -> Rest | None:
        """The longest that keeps it from being asked."""
        longest = None
        for rule, gates in self._gates.items():
            gate = gates.get(rule.of(whom)) if gates else None
            if gate and gate.until - now > (longest.seconds if longest else 0.0):
                longest = Rest(gate.until - now, rule.reason)
        return longest

    def failed(self, whom: Whom, error: ProviderError, since: float, now: float) -> None:
        """It said no, to a request that was sent at `since`.

        What was sent before a gate closed says no once more, but not anew: nothing doubles.
        """
        rule = _rule(error)
        if rule is None:
            return
        gate = self._gates[rule].setdefault(rule.of(whom), _Gate(now, times=0))
        if since >= gate.until or not gate.times:
            gate.times += 1
        seconds = _asked(rule, error)
        if seconds is None:
            # Without the limit two to the power of all times would be no float.
            seconds = min(rule.seconds * 2.0 ** min(gate.times - 1, 32), rule.longest)
        gate.until = max(gate.until, now + seconds)

    def heard(self, whom: Whom, since: float) -> None:
        """It spoke, so that whatever closed before has not closed in a row."""
        for rule, gates in self._gates.items():
            gate = gates.get(rule.of(whom)) if gates else None
            if gate and since >= gate.until:
                del gates[rule.of(whom)]


def _rule(error: ProviderError) -> _Rule | None:  # noqa: PLR0911  # one return a class
    match error:
        case RateLimited():
            return _RATE
        case QuotaExhausted():
            return _QUOTA
        case CredentialRefused(status=403):
            return _VOICE_OF_KEY
        case CredentialRefused():
            return _KEY
        case NotOffered():
            return _VOICE
        case Overloaded():
            return None if error.wait is None else _WAIT
    return None


def _asked(rule: _Rule, error: ProviderError) -> float | None:
    """For how long the provider asked to be left alone, where that is what decides."""
    if error.wait is None or rule not in {_RATE, _WAIT}:
        return None
    return min(max(error.wait, 0.0), LONGEST_WAIT)

"""Standings: what this process lately saw of each offer. Live memory, shared with nobody (D16)."""

import math
from dataclasses import dataclass

HALF_LIFE_SECONDS = 30.0
PRIOR_WEIGHT = 2.0
"""How many imagined successes a stranger starts with."""


@dataclass(slots=True)
class Standing:
    """One offer's recent past, fading with a half-life of 30 s."""

    first_audio_ms: float | None = None
    """Smoothed time to first audio."""
    real_time_factor: float | None = None
    """Smoothed seconds of work per second of audio."""
    successes: float = 0.0
    failures: float = 0.0
    seen: float = 0.0
    """Monotonic seconds of the last attempt."""

    def availability(self) -> float:
        """Share of attempts that succeeded, with a prior, 0 to 1."""
        tried = self.successes + self.failures
        return (self.successes + PRIOR_WEIGHT) / (tried + PRIOR_WEIGHT)


class Standings:
    """Every offer's standing, by offer name."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}

    def of(self, offer: str) -> Standing:
        return self._standings.get(offer) or Standing()

    def heard(self, offer: str, now: float, first_audio_ms: float, factor: float | None) -> None:
        standing = self._faded(offer, now)
        standing.successes += 1
        standing.first_audio_ms = _smooth(standing.first_audio_ms, first_audio_ms)
        if factor is not None:
            standing.real_time_factor = _smooth(standing.real_time_factor, factor)

    def failed(self, offer: str, now: float) -> None:
        self._faded(offer, now).failures += 1

    def _faded(self, offer: str, now: float) -> Standing:
        standing = self._standings.setdefault(offer, Standing(seen=now))
        rest = math.exp2((standing.seen - now) / HALF_LIFE_SECONDS)
        standing.successes *= rest
        standing.failures *= rest
        standing.seen = now
        return standing


def _smooth(before: float | None, value: float, weight: float = 0.2) -> float:
    return value if before is None else before + weight * (value - before)

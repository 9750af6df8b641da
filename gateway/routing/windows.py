"""Windows: what was seen of one offer in the last minutes, half hour and day, in bounded memory."""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from providers import BrokenOff, NotAudio, Overloaded, ProviderError, TimedOut, Unreachable

ILL = (Unreachable, TimedOut, Overloaded, NotAudio, BrokenOff)
"""Failures that say that the offer is not well; the others are about us, or about one input."""
SLICE_SECONDS = 120
SLICES = 15
"""So that what is told is between 28 and 30 minutes old at most."""
GROWTH = 1.08
"""How much larger each step of the scale is: a percentile is right to 4 %."""
LEAST, MOST = 1e-3, 1e8
"""What the scale holds, in about 330 steps; anything beyond counts as its end."""
UPTIME_MINUTES = (5, 30, 1440)
HALF_LIFE_SECONDS = 30.0
PRIOR_WEIGHT = 2.0
"""How many imagined successes a stranger starts with."""
TOLD_SECONDS = 1.0
"""For how long what was told of a known offer may be told again."""
FEW = 20
"""With no more attempts than that, each one is told at once."""
_STEP = math.log(GROWTH)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of what was seen in the last 30 minutes."""

    p50: float
    p75: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One offer's recent past, as it is told and decided by."""

    attempts: int = 0
    """In the last 30 minutes; those that we broke off ourselves do not count."""
    first_audio_ms: Percentiles | None = None
    real_time_factor: Percentiles | None = None
    """Seconds of work per second of audio."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """By class (`ProviderError.kind`), in the last 30 minutes."""
    availability: float = 1.0
    """Share of attempts that went well, 0 to 1; the past fades with a half-life of 30 s."""
    uptime_5m: float | None = None
    """Per cent that went well, rate limits and our own faults aside; None: no attempt."""
    uptime_30m: float | None = None
    uptime_1d: float | None = None
    in_flight: int = 0

    @property
    def is_cold(self) -> bool:
        """Whether too little is known to go by."""
        return self.first_audio_ms is None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: in an error, or heard; with neither, we broke it off ourselves."""

    error: ProviderError | None = None
    first_audio_ms: float | None = None
    real_time_factor: float | None = None

    @property
    def went_well(self) -> bool | None:
        """Whether it showed the offer to be well; None where it says nothing of that."""
        if self.error is not None:
            return False if isinstance(self.error, ILL) else None
        return None if self.first_audio_ms is None else True


class Tally:
    """How many went well and how many did not, lately: a sum over a few equal spans of time."""

    def __init__(self, span_seconds: float, spans: int) -> None:
        self._span_seconds, self._spans = span_seconds, spans
        self._seen: deque[tuple[int, list[int]]] = deque()
        self._sums = [0, 0]

    def add(self, now: float, *, well: bool) -> None:
        span = self._passed(now)
        if not self._seen or self._seen[-1][0] != span:
            self._seen.append((span, [0, 0]))
        self._seen[-1][1][well] += 1
        self._sums[well] += 1

    def sums(self, now: float) -> tuple[int, int]:
        """How many did not go well, and how many did."""
        self._passed(now)
        return self._sums[0], self._sums[1]

    def per_cent(self, now: float) -> float | None:
        """Of those that went well."""
        ill, well = self.sums(now)
        return 100.0 * well / (ill + well) if ill + well else None

    def _passed(self, now: float) -> int:
        """The span of now; forgets those that are over."""
        span = int(now // self._span_seconds)
        while self._seen and self._seen[0][0] <= span - self._spans:
            _, (ill, well) = self._seen.popleft()
            self._sums[0] -= ill
            self._sums[1] -= well
        return span


@dataclass(slots=True)
class _Slice:
    """Two minutes."""

    number: int
    attempts: int = 0
    first_audio: Counter[int] = field(default_factory=Counter)
    """How often each step of the scale was seen."""
    factor: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


class Window:
    """What was seen of one offer. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque(maxlen=SLICES)
        self._uptimes = [Tally(60, minutes) for minutes in UPTIME_MINUTES]
        self._ill, self._well = 0.0, PRIOR_WEIGHT
        self._faded_at = 0.0
        self._told = Standing()
        self._told_until = -math.inf

    def saw(self, ending: Ending, now: float) -> None:
        """An attempt ended; one that we broke off says nothing."""
        if ending.error is None and ending.first_audio_ms is None:
            return
        self._put_down(self._slice(now), ending)
        if (well := ending.went_well) is not None:
            for uptime in self._uptimes:
                uptime.add(now, well=well)
            self._fade(now)
            self._well, self._ill = self._well + well, self._ill + (not well)
        if self._told.attempts <= FEW:
            self._told_until = -math.inf

    def standing(self, now: float) -> Standing:
        """All of it."""
        if now >= self._told_until:
            self._told, self._told_until = self._tell(now), now + TOLD_SECONDS
        return self._told

    def _tell(self, now: float) -> Standing:
        oldest = int(now // SLICE_SECONDS) - SLICES
        slices = [each for each in self._slices if each.number > oldest]
        failures = sum((each.failures for each in slices), Counter[str]())
        self._fade(now)
        five, thirty, day = (uptime.per_cent(now) for uptime in self._uptimes)
        return Standing(
            attempts=sum(each.attempts for each in slices),
            first_audio_ms=_percentiles(each.first_audio for each in slices),
            real_time_factor=_percentiles(each.factor for each in slices),
            failures=failures,
            availability=self._well / (self._well + self._ill),
            uptime_5m=five,
            uptime_30m=thirty,
            uptime_1d=day,
        )

    def _slice(self, now: float) -> _Slice:
        number = int(now // SLICE_SECONDS)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        return self._slices[-1]

    def _put_down(self, into: _Slice, ending: Ending) -> None:
        into.attempts += 1
        if ending.error is not None:
            into.failures[ending.error.kind] += 1
        if ending.first_audio_ms is not None:
            into.first_audio[_step(ending.first_audio_ms)] += 1
        if ending.real_time_factor is not None:
            into.factor[_step(ending.real_time_factor)] += 1

    def _fade(self, now: float) -> None:
        """The imagined successes do not fade: they are what is believed when nothing is known."""
        rest = math.exp2((self._faded_at - now) / HALF_LIFE_SECONDS)
        self._ill *= rest
        self._well = PRIOR_WEIGHT + (self._well - PRIOR_WEIGHT) * rest
        self._faded_at = now


def _step(value: float) -> int:
    return math.ceil(math.log(min(max(value, LEAST), MOST)) / _STEP)


def _percentiles(seen: Iterable[Counter[int]]) -> Percentiles | None:
    merged: Counter[int] = Counter()
    for each in seen:
        merged.update(each)
    if not merged:
        return None
    steps = sorted(merged)
    reached = list(accumulate(merged[step] for step in steps))

    def at(per_cent: int) -> float:
        rank = -(-per_cent * reached[-1] // 100)
        return 2 * GROWTH ** steps[bisect_left(reached, rank)] / (1 + GROWTH)

    return Percentiles(at(50), at(75), at(90), at(95), at(99))

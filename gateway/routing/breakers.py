"""Breakers: keep requests from an offer that keeps failing, and find out when it is well again."""

import math
from dataclasses import dataclass
from random import Random
from typing import Literal

from gateway.routing.rests import Rest
from gateway.routing.windows import Tally
from gateway.settings import Resilience

RECENT_SECONDS = 10
RECENT_ATTEMPTS = 20
"""With at least so many lately, and no fewer than may fail in a row, half of them is too much."""
PROOFS = 3
"""Successes that close it again."""
PROBE_SECONDS = 1.0
"""When to ask again while a probe is out."""
DESPERATE_SECONDS = 1.0
RAMP_SECONDS = 30.0
RAMP_START = 0.1
"""The share of requests that an offer gets when its breaker has just closed."""
JITTER = 0.25

Way = Literal["ordinary", "probe", "desperate"]


@dataclass(frozen=True, slots=True)
class Pass:
    """How a request came through a breaker."""

    way: Way
    turn: int
    """What it tells counts only until the breaker next opens or closes."""


class Breaker:
    """One offer's with one credential: closed, open, or finding out with one probe at a time."""

    def __init__(self, rules: Resilience, random: Random) -> None:
        self._rules, self._random = rules, random
        self._turn = 0
        self._in_a_row = 0
        """Failures, while closed."""
        self._recent = Tally(1, RECENT_SECONDS)
        self._open_until: float | None = None
        """None while closed; in the past while finding out."""
        self._why = ""
        self._times = 0
        """How often it opened without having been well in between."""
        self._closed_at = -math.inf
        self._probe_out = False
        self._proofs = 0
        self._desperate_at = -math.inf

    def rest(self, now: float) -> Rest | None:
        """Why a request could not come through, luck aside."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return Rest(self._open_until - now, self._why, is_broken=True)
        if self._probe_out:
            return Rest(PROBE_SECONDS, "it is being tried whether it is well again", is_broken=True)
        return None

    def state(self, now: float) -> int:
        """0 closed, 1 finding out whether it is well again, 2 open."""
        if self._open_until is None:
            return 0
        return 2 if now < self._open_until else 1

    def way(self, now: float, *, desperate: bool) -> Way | Rest:
        """How a request could come through; it does with `go`."""
        rest = self.rest(now)
        if rest is not None:
            waited = now - self._desperate_at >= DESPERATE_SECONDS
            return "desperate" if desperate and waited else rest
        if self._open_until is not None:
            return "probe"
        if desperate or self._is_lucky(now):
            return "ordinary"
        why = "it has just recovered and gets few requests"
        return Rest(PROBE_SECONDS, why, is_broken=True, is_lot=True)

    def go(self, way: Way, now: float) -> Pass:
        if way == "probe":
            self._probe_out = True
        elif way == "desperate":
            self._desperate_at = now
        return Pass(way, self._turn)

    def back(self, came: Pass, now: float, *, well: bool | None) -> None:
        """A request that came through has ended; well: None where it says nothing of the offer."""
        if came.way == "probe":
            self._probe_out = False
        if came.turn != self._turn or well is None:
            return
        if self._open_until is None:
            self._count(now, well=well)
        elif well:
            self._prove(now)
        elif came.way == "probe":
            self._open("it failed again when it was tried", now)

    def _count(self, now: float, *, well: bool) -> None:
        self._in_a_row = 0 if well else self._in_a_row + 1
        self._recent.add(now, well=well)
        ill, good = self._recent.sums(now)
        if self._in_a_row >= self._rules.breaker_failures:
            self._open(f"it failed {self._in_a_row} times in a row", now)
        elif ill >= good and ill + good >= max(RECENT_ATTEMPTS, self._rules.breaker_failures):
            self._open(f"{ill} of its last {ill + good} attempts failed", now)

    def _prove(self, now: float) -> None:
        """Where one came through to an open breaker and went well, the time is over too."""
        self._open_until = now
        self._proofs += 1
        if self._proofs >= PROOFS:
            self._begin_turn()
            self._open_until, self._closed_at = None, now

    def _open(self, why: str, now: float) -> None:
        if self._open_until is None and now - self._closed_at >= RAMP_SECONDS:
            self._times = 0
        self._begin_turn()
        self._times += 1
        seconds = self._rules.breaker_seconds * self._times
        seconds *= 1 + JITTER * self._random.random()
        self._open_until = now + min(seconds, self._rules.breaker_longest_seconds)
        self._why = why

    def _begin_turn(self) -> None:
        self._turn += 1
        self._in_a_row, self._proofs = 0, 0
        self._recent = Tally(1, RECENT_SECONDS)

    def _is_lucky(self, now: float) -> bool:
        share = RAMP_START + (1 - RAMP_START) * (now - self._closed_at) / RAMP_SECONDS
        return share >= 1 or self._random.random() < share

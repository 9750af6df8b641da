"""The watch: the real standings and retry budget, and beside them what must hold of each step.

What it expects is worked out anew and by simpler means: from who was asked and how each ended.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from gateway.routing.allowance import Allowance
from gateway.routing.standings import Ending, Grant, Rest, Standings
from gateway.settings import Load, Resilience
from providers import (
    BrokenOff,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Offer,
    Overloaded,
    Provider,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TimedOut,
    Unreachable,
)

ILL = (Unreachable, TimedOut, Overloaded, NotAudio, BrokenOff)
LONGEST_REST = 3_600.0
RAMP_SECONDS = 30.0


Key = tuple[str, ...]


class Wrong(AssertionError):
    """Something that must hold does not."""


def hold(condition: object, told: str) -> None:
    if not condition:
        raise Wrong(told)


@dataclass
class _Open:
    grant: Grant
    since: float
    desperate: bool


@dataclass
class _Past:
    """What one offer did with one credential."""

    in_a_row: int = 0
    """Ordinary attempts that failed, sent after `mark`."""
    mark: float = -math.inf
    shut_until: float = -math.inf
    probes: int = 0
    asked_at: float = -math.inf
    panic_at: float = -math.inf
    failed_at: float = -math.inf
    proved_at: float = -math.inf
    """When a probe or a desperate attempt last went well."""


@dataclass
class Watch(Standings):
    """Standings that are looked over."""

    rules: Resilience
    load: Load
    random: Random
    opened: dict[int, _Open] = field(default_factory=dict)
    in_flight: Counter[str] = field(default_factory=Counter)
    gates: dict[Key, float] = field(default_factory=dict)
    """Until when each is closed at the least."""
    opens: dict[Key, float] = field(default_factory=dict)
    """Until when at the most."""
    pasts: dict[tuple[str, str], _Past] = field(default_factory=lambda: defaultdict(_Past))
    granted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(self.rules, self.load, self.random)

    def grant(
        self, provider: Provider, offer: Offer, voice: str, now: float, *, desperate: bool = False
    ) -> Grant | Rest:
        got = super().grant(provider, offer, voice, now, desperate=desperate)
        if isinstance(got, Rest):
            hold(0 < got.seconds <= LONGEST_REST, f"{offer.name} rests for {got.seconds}")
        else:
            self._check(got, now, desperate=desperate)
        self._check_places(offer.name, now)
        return got

    def ended(self, grant: Grant, ending: Ending, now: float) -> None:
        held = self.opened.pop(id(grant), None)
        hold(held, f"{grant.offer} is given back twice")
        super().ended(grant, ending, now)
        super().ended(grant, ending, now)  # twice does no harm
        self.in_flight[grant.offer] -= 1
        self._check_places(grant.offer, now)
        if held is not None:
            self._remember(held, ending, now)

    def excuse(self, provider: Provider, offer: Offer, voice: str, now: float) -> str | None:
        """Why an offer may not be asked, by what was seen of it; None: there is no reason."""
        excuses = [
            self._credential_s_excuse(offer.name, keys, now)
            for keys in self._keys_of(provider, offer.name, voice)
        ]
        if None not in excuses:
            return excuses[0]
        return "full" if self.in_flight[offer.name] >= 1 else None

    def has_recovered(self, provider: Provider, offer: Offer, now: float) -> bool:
        """Whether a breaker of its may have closed so lately that it is asked by lot."""
        pasts = [self.pasts[offer.name, each] for each in variables(provider)]
        return any(now - past.proved_at <= RAMP_SECONDS for past in pasts)

    def _credential_s_excuse(self, offer: str, keys: tuple[Key, ...], now: float) -> str | None:
        if any(now <= self.opens.get(key, -1.0) for key in keys):
            return "gate"
        past = self.pasts[offer, keys[0][2]]
        if now - past.failed_at <= self.rules.breaker_longest_seconds:
            return "breaker"
        return "ramp" if now - past.proved_at <= RAMP_SECONDS else None

    def _check(self, grant: Grant, now: float, *, desperate: bool) -> None:
        self.opened[id(grant)] = _Open(grant, now, desperate)
        self.in_flight[grant.offer] += 1
        self.granted[grant.offer] += 1
        variable = _variable(grant)
        for key in _keys(grant.provider, grant.offer, grant.voice, variable):
            hold(self.gates.get(key, 0.0) <= now, f"{grant} goes through a closed gate {key}")
        past = self.pasts[grant.offer, variable]
        past.probes += grant.is_probe
        hold(past.probes <= 1, f"{grant.offer} is probed {past.probes} times at once")
        if now < past.shut_until and not grant.is_probe:
            hold(desperate, f"{grant.offer} is asked though it failed so often")
            hold(now - past.panic_at >= 1 or past.panic_at < past.mark, f"{grant.offer}: panic")
            past.panic_at = now
        past.asked_at = now

    def _check_places(self, offer: str, now: float) -> None:
        told = self.of(offer, now).in_flight
        hold(told == self.in_flight[offer], f"{offer} has {told}, not {self.in_flight[offer]}")
        hold(0 <= told <= self.load.offer_concurrent, f"{offer} has {told} in flight")

    def _remember(self, held: _Open, ending: Ending, now: float) -> None:
        grant, error = held.grant, ending.error
        past = self.pasts[grant.offer, _variable(grant)]
        past.probes -= grant.is_probe
        if error is not None:
            self._close_gates(grant, error, now)
        if isinstance(error, ILL):
            past.failed_at = now
            self._count(past, held, now)
        elif error is None and ending.first_audio_ms is not None:
            past.in_a_row, past.shut_until = 0, -math.inf
            if held.grant.is_probe or held.desperate:
                past.mark = past.proved_at = now

    def _count(self, past: _Past, held: _Open, now: float) -> None:
        if held.grant.is_probe or held.desperate or held.since <= past.mark:
            return
        past.in_a_row += 1
        if past.in_a_row >= self.rules.breaker_failures:
            past.in_a_row, past.mark = 0, now
            past.shut_until = now + self.rules.breaker_seconds

    def _close_gates(self, grant: Grant, error: ProviderError, now: float) -> None:
        variable = _variable(grant)
        match error:
            case RateLimited():
                wait = 1.0 if error.wait is None else min(error.wait, 120.0)
                self._close(("credential", grant.provider, variable), now, wait, 120.0)
            case QuotaExhausted() | CredentialRefused(status=401):
                self._close(("credential", grant.provider, variable), now, 300.0, LONGEST_REST)
            case CredentialRefused():
                self._close(("voice", grant.offer, variable, grant.voice), now, 600.0, 600.0)
            case NotOffered():
                self._close(("gone", grant.offer, grant.voice), now, 600.0, 600.0)
            case Overloaded() if error.wait is not None:
                wait = min(error.wait, 120.0)
                self._close(("wait", grant.offer, variable), now, wait, wait)

    def _close(self, key: Key, now: float, least: float, most: float) -> None:
        self.gates[key] = max(self.gates.get(key, 0.0), now + least)
        self.opens[key] = max(self.opens.get(key, 0.0), now + most)

    def _keys_of(self, provider: Provider, offer: str, voice: str) -> Iterable[tuple[Key, ...]]:
        for variable in variables(provider):
            yield _keys(provider.name, offer, voice, variable)


class Budget(Allowance):
    """A retry budget that is counted once more."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self._requests: deque[tuple[float, str]] = deque()
        self._taken: deque[tuple[float, float, str]] = deque()
        self.charged = 0.0
        """Of all time."""
        self.said_no = False

    def asked(self, now: float, key: str = "") -> None:
        super().asked(now, key)
        self._requests.append((now, key))

    def take(self, now: float, cost: float = 1.0, key: str = "") -> bool:
        took = super().take(now, cost, key)
        self.said_no = not took
        if took:
            self.charged += cost
            self._taken.append((now, cost, key))
            self._check(now, key)
        return took

    def _check(self, now: float, key: str) -> None:
        """By whole seconds the window is between nine and ten of them."""
        while self._requests and self._requests[0][0] <= now - 10:
            self._requests.popleft()
        while self._taken and self._taken[0][0] <= now - 9:
            self._taken.popleft()
        there_is = max(30.0, self._share * len(self._requests))
        taken = sum(cost for _, cost, _ in self._taken)
        hold(taken <= there_is, f"{taken} of a budget of {there_is} are taken")
        own = sum(cost for _, cost, each in self._taken if each == key)
        others = any(each != key for at, each in self._requests if at > now - 9)
        hold(not others or own <= max(3.0, there_is / 2), f"{key} takes {own} of {there_is}")


def variables(provider: Provider) -> list[str]:
    """Its credentials' names; of one that wants none, the empty one."""
    return [each.variable for each in provider.credentials] or [""]


def _variable(grant: Grant) -> str:
    return grant.credential.variable if grant.credential else ""


def _keys(provider: str, offer: str, voice: str, variable: str) -> tuple[Key, ...]:
    return (
        ("credential", provider, variable),
        ("wait", offer, variable),
        ("voice", offer, variable, voice),
        ("gone", offer, voice),
    )

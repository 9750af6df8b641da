"""The course: which choice of the plan is tried first, and which after a failure.

Decisions only: it is told the time and asks the standings; it waits for nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from gateway.metering.operations import Kind
from gateway.routing.allowance import Allowance
from gateway.routing.plan import Choice
from gateway.routing.standings import Ending, Grant, Rest, Standings
from providers import (
    Catalog,
    CredentialRefused,
    Provider,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TimedOut,
    Unreachable,
)

MOST_PER_PROVIDER = 2
"""Attempts of one request at one provider."""
LONGEST_PAUSE = 2.0
"""An offer that wants a longer rest is not asked again for the same request, in seconds."""
TIMEOUT_COST = 3.0
"""What an attempt takes of the retry budget after one that took so long; any other takes 1."""
NOBODY_SECONDS = 60.0
_OF_THE_CREDENTIAL = (RateLimited, QuotaExhausted, CredentialRefused)
"""Failures that say nothing of another credential."""
_seconds = attrgetter("seconds")


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to make: whom to ask, with which right, and why."""

    choice: Choice
    grant: Grant
    kind: Kind


class Course:
    """One request's way through its plan."""

    def __init__(
        self,
        choices: Iterable[Choice],
        providers: Mapping[str, Provider],
        standings: Standings,
        retries: Allowance,
        key: str = "",
    ) -> None:
        self._choices = list(choices)
        self._providers = providers
        self._standings = standings
        self._retries = retries
        self._key = key
        self._tried: list[Try] = []

    def first(self, now: float) -> Try | Rest:
        """Whom to ask first; where nobody may be asked, the shortest rest.

        An offer that has just recovered is asked rather than that anybody waits, and where all are
        resting and a breaker is among the reasons, it gives way (panic).
        """
        rests: list[tuple[Rest, Choice]] = []
        for choice in self._choices:
            granted = self._grant(choice, now)
            if isinstance(granted, Grant):
                return self._go(choice, granted, "first")
            rests.append((granted, choice))
        if not rests:
            return Rest(NOBODY_SECONDS, "nobody is left who may be asked")
        full = [rest for rest, _ in rests if rest.is_full]
        for rest, choice in sorted(rests, key=lambda pair: pair[0].seconds):
            if rest.is_lot or (rest.is_broken and not full):
                granted = self._grant(choice, now, desperate=True)
                if isinstance(granted, Grant):
                    return self._go(choice, granted, "first")
        return full[0] if full else min((rest for rest, _ in rests), key=_seconds)

    def after(self, error: ProviderError, failed: Try, now: float) -> Try | None:
        """Whom to ask after `failed` ended in `error`; None where nobody can do better."""
        found = self._another(error, failed, now)
        # What never reached a provider burdens none, so another try at it is free (gRPC A6).
        if found is None or isinstance(error, Unreachable):
            return found
        cost = TIMEOUT_COST if isinstance(error, TimedOut) else 1.0
        if self._retries.take(now, cost, self._key):
            return found
        self.unused(found, now)
        return None

    def beside(self, late: Try, now: float) -> Try | None:
        """Whom to ask while `late` has no audio yet: another provider, and one that is well."""
        for choice in self._untried():
            if choice.offer.provider == late.choice.offer.provider:
                continue
            granted = self._grant(choice, now)
            if isinstance(granted, Grant) and not granted.is_probe:
                return self._go(choice, granted, "hedge")
            self._give_back(granted, now)
        return None

    def resume(self, broken: Try, catalog: Catalog, now: float) -> Try | None:
        """Who may go on in place of `broken`: another offer, in a voice of the same family."""
        for choice in self._untried():
            if catalog.akin(broken.choice.voice, choice.voice):
                granted = self._grant(choice, now)
                if isinstance(granted, Grant):
                    return self._go(choice, granted, "resume")
        return None

    @property
    def has_more(self) -> bool:
        """Whether there is somebody who was not asked yet."""
        return any(self._untried())

    def unused(self, found: Try, now: float) -> None:
        """It is not made after all."""
        self._tried.remove(found)
        self._give_back(found.grant, now)

    def refused(self, found: Try, now: float) -> None:
        """A budget of its own does not let it be asked, now or later."""
        self.unused(found, now)
        self._choices.remove(found.choice)

    def _another(self, error: ProviderError, failed: Try, now: float) -> Try | None:
        provider = self._providers[failed.choice.offer.provider]
        if isinstance(error, _OF_THE_CREDENTIAL) and len(provider.credentials) > 1:
            granted = self._again(failed, now)
            if granted is not None:
                return self._go(failed.choice, granted, "credential")
        if error.elsewhere and (other := self._elsewhere(now)):
            return other
        if error.retryable and (error.wait or 0.0) <= LONGEST_PAUSE:
            granted = self._again(failed, now)
            if granted is not None:
                return self._go(failed.choice, granted, "repeat")
        return None

    def _elsewhere(self, now: float) -> Try | None:
        """The next one; where all that are left are resting, one whose breaker gives way."""
        for desperate in (False, True):
            for choice in self._untried():
                granted = self._grant(choice, now, desperate=desperate)
                if isinstance(granted, Grant):
                    return self._go(choice, granted, "fallback")
        return None

    def _untried(self) -> Iterable[Choice]:
        tried = [each.choice for each in self._tried]
        return (each for each in self._choices if each not in tried and self._has_room(each))

    def _again(self, failed: Try, now: float) -> Grant | None:
        """The same choice once more; its breaker gives way, for there may be nobody else."""
        if not self._has_room(failed.choice):
            return None
        granted = self._grant(failed.choice, now, desperate=True)
        return granted if isinstance(granted, Grant) else None

    def _has_room(self, choice: Choice) -> bool:
        name = choice.offer.provider
        return sum(each.choice.offer.provider == name for each in self._tried) < MOST_PER_PROVIDER

    def _grant(self, choice: Choice, now: float, *, desperate: bool = False) -> Grant | Rest:
        provider = self._providers[choice.offer.provider]
        return self._standings.grant(provider, choice.offer, choice.voice, now, desperate=desperate)

    def _go(self, choice: Choice, grant: Grant, kind: Kind) -> Try:
        found = Try(choice, grant, kind)
        self._tried.append(found)
        return found

    def _give_back(self, granted: Grant | Rest, now: float) -> None:
        if isinstance(granted, Grant):
            self._standings.ended(granted, Ending(), now)

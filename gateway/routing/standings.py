"""Standings: what this process lately saw of each offer. Live memory, shared with nobody (D16)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from gateway.settings import Load, Resilience
from providers import Credential, Offer, Provider, ProviderError


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
    """Per cent of attempts that went well, rate limits and our own faults aside; None: no attempt."""
    uptime_30m: float | None = None
    uptime_1d: float | None = None
    in_flight: int = 0

    @property
    def is_cold(self) -> bool:
        """Whether too little is known to go by."""
        return self.first_audio_ms is None


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to ask an offer once; it holds a place there until it is ended."""

    provider: str
    offer: str
    """The offer's full name."""
    voice: str
    credential: Credential | None
    is_probe: bool = False
    """Whether it finds out if an offer that failed is well again."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Why an offer may not be asked now, and for how long."""

    seconds: float
    reason: str
    is_full: bool = False
    """Whether it only has enough to do; a place may come free at any moment."""
    is_broken: bool = False
    """Whether a breaker keeps it, which gives way where nobody else is left."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: in an error, or heard; with neither, we broke it off ourselves."""

    error: ProviderError | None = None
    first_audio_ms: float | None = None
    real_time_factor: float | None = None


class Standings:
    """Every offer's standing, by its full name. `now` is monotonic seconds throughout."""

    def __init__(
        self,
        rules: Resilience = Resilience(),  # noqa: B008  # frozen
        load: Load = Load(),  # noqa: B008  # frozen
        random: Random | None = None,
    ) -> None:
        self._rules, self._load = rules, load
        self._random = random or Random()  # noqa: S311  # jitter keeps no secret

    def of(self, offer: str, now: float) -> Standing:
        """What is known of it."""
        return Standing()

    def resting(self, provider: Provider, offer: Offer, voice: str, now: float) -> Rest | None:
        """Why it could not be asked now; nothing is taken."""
        return None

    def grant(
        self, provider: Provider, offer: Offer, voice: str, now: float, *, desperate: bool = False
    ) -> Grant | Rest:
        """The right to ask it, with the credential whose turn it is.

        desperate: nobody else is left, so a breaker lets one request a second through.
        """
        credential = provider.credentials[0] if provider.credentials else None
        return Grant(provider.name, offer.name, voice, credential)

    def ended(self, grant: Grant, ending: Ending, now: float) -> None:
        """Give the place back, and remember."""

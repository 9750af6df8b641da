"""Standings: what this process lately saw of each offer. Live memory, shared with nobody (D16)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from operator import attrgetter
from random import Random

from gateway.routing.breakers import Breaker, Pass, Way
from gateway.routing.crowds import Crowd
from gateway.routing.rests import Rest, Rests, Whom
from gateway.routing.windows import Ending, Percentiles, Standing, Window
from gateway.settings import Load, Resilience
from providers import Credential, Offer, Provider

__all__ = ["Ending", "Grant", "Percentiles", "Rest", "Standing", "Standings"]

_UNKNOWN = Standing()
LOOK_AGAIN_SECONDS = 5.0
"""After so long somebody may ask whether it is still left alone."""
_ANY: tuple[None] = (None,)
"""What a provider that wants no credential is asked with."""
_seconds = attrgetter("seconds")


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
class _Place:
    """What a grant took; it keeps the grant alive, so that no other has its identity."""

    grant: Grant
    whom: Whom
    came: Pass
    since: float


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
        self._windows: dict[str, Window] = {}
        self._crowds: dict[str, Crowd] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        """By offer and credential."""
        self._rests = Rests()
        self._turns: dict[str, int] = {}
        """By provider: which of its credentials is next."""
        self._places: dict[int, _Place] = {}
        """By the grant's identity, for two grants may be alike."""
        self._left_alone: dict[str, str] = {}
        """By provider: why nobody asks it, in words."""

    def leave_alone(self, provider: str, why: str | None) -> None:
        """Nobody asks it until this is called again, with None."""
        if why is None:
            self._left_alone.pop(provider, None)
        else:
            self._left_alone[provider] = why

    def of(self, offer: str, now: float) -> Standing:
        """What is known of it; of a known offer up to a second ago, but for what is in flight."""
        window, crowd = self._windows.get(offer), self._crowds.get(offer)
        standing = window.standing(now) if window else _UNKNOWN
        in_flight = crowd.in_flight if crowd else 0
        return replace(standing, in_flight=in_flight) if in_flight else standing

    def room(self, offer: str) -> int:
        """How many requests at once it may get at present."""
        crowd = self._crowds.get(offer)
        return crowd.limit if crowd else self._load.offer_concurrent

    def breakers(self, now: float) -> dict[str, int]:
        """Each offer's breaker (see Breaker.state), the worst of its credentials."""
        worst: dict[str, int] = {}
        for (offer, _), breaker in self._breakers.items():
            worst[offer] = max(worst.get(offer, 0), breaker.state(now))
        return worst

    def crowds(self) -> dict[str, tuple[int, int]]:
        """How many requests each offer may have at once, and how many it has."""
        return {offer: (crowd.limit, crowd.in_flight) for offer, crowd in self._crowds.items()}

    def resting(self, provider: Provider, offer: Offer, voice: str, now: float) -> Rest | None:
        """Why it could not be asked now; nothing is taken."""
        if why := self._left_alone.get(provider.name):
            return Rest(LOOK_AGAIN_SECONDS, why)
        rests = []
        for credential in provider.credentials or _ANY:
            whom = _whom(offer, voice, credential)
            rest = self._rests.of(whom, now) or self._breaker(whom).rest(now)
            if rest is None:
                return self._crowd(offer).rest()
            rests.append(rest)
        return _shortest(rests)

    def grant(
        self, provider: Provider, offer: Offer, voice: str, now: float, *, desperate: bool = False
    ) -> Grant | Rest:
        """The right to ask it, with the credential whose turn it is.

        desperate: nobody else is left, so a breaker lets one request a second through.
        """
        if why := self._left_alone.get(provider.name):
            return Rest(LOOK_AGAIN_SECONDS, why)
        rests = []
        for need, credential in product((False, True)[: 1 + desperate], self._in_turn(provider)):
            whom = _whom(offer, voice, credential)
            way = self._rests.of(whom, now) or self._breaker(whom).way(now, desperate=need)
            if isinstance(way, Rest):
                rests.append(way)
            elif full := self._crowd(offer).rest():
                return full
            else:
                self._next_turn(provider, credential)
                return self._go(whom, credential, way, now)
        return _shortest(rests)

    def ended(self, grant: Grant, ending: Ending, now: float) -> None:
        """Give the place back, and remember; a grant ends once."""
        place = self._places.pop(id(grant), None)
        if place is None:
            return
        whom, error = place.whom, ending.error
        heard = ending.first_audio_ms is not None
        self._windows.setdefault(whom.offer, Window()).saw(ending, now)
        self._crowds[whom.offer].left(error, now, heard=heard)
        self._breaker(whom).back(place.came, now, well=ending.went_well)
        if error is not None:
            self._rests.failed(whom, error, place.since, now)
        elif heard:
            self._rests.heard(whom, place.since)

    def _go(self, whom: Whom, credential: Credential | None, way: Way, now: float) -> Grant:
        grant = Grant(whom.provider, whom.offer, whom.voice, credential, way == "probe")
        came = self._breaker(whom).go(way, now)
        self._crowds[whom.offer].joined()
        self._places[id(grant)] = _Place(grant, whom, came, now)
        return grant

    def _in_turn(self, provider: Provider) -> Iterator[Credential | None]:
        each = provider.credentials or _ANY
        first = self._turns.get(provider.name, 0) % len(each)
        yield from each[first:]
        yield from each[:first]

    def _next_turn(self, provider: Provider, used: Credential | None) -> None:
        self._turns[provider.name] = (provider.credentials or _ANY).index(used) + 1

    def _breaker(self, whom: Whom) -> Breaker:
        name = (whom.offer, whom.variable)
        if name not in self._breakers:
            self._breakers[name] = Breaker(self._rules, self._random)
        return self._breakers[name]

    def _crowd(self, offer: Offer) -> Crowd:
        if offer.name not in self._crowds:
            self._crowds[offer.name] = Crowd(self._load.offer_concurrent)
        return self._crowds[offer.name]


def _whom(offer: Offer, voice: str, credential: Credential | None) -> Whom:
    variable = credential.variable if credential is not None else ""
    return Whom(offer.provider, offer.name, voice, variable)


def _shortest(rests: list[Rest]) -> Rest:
    """Of all credentials'; broken where any is, for then that one's breaker may give way."""
    return replace(
        min(rests, key=_seconds),
        is_broken=any(rest.is_broken for rest in rests),
        is_lot=any(rest.is_lot for rest in rests),
    )

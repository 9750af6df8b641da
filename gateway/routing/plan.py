"""The plan: which offers may say this speech, in which order, and why each other one was left out.

A pure function of values and of the lots that it is given: no clock, no I/O.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from gateway.metering.prices import upper_bound
from gateway.metering.spoken import longest_ms
from gateway.routing.judging import Choice, Exclusion, Judge
from gateway.routing.policies import FASTEST_FIRST, SORT_KEYS, Candidate, Key, Policy, shares
from gateway.routing.preferences import Preferences
from gateway.routing.sentences import sentences
from gateway.routing.standings import Standing, Standings
from gateway.routing.tasks import Wanted
from providers import Catalog, Offer, Speech

LONGEST_IN_SENTENCES = 20_000
"""Characters; a longer text is said in one call."""
__all__ = ["Choice", "Exclusion", "Moment", "Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a plan depends on beside the request: what was lately seen, the time, and luck."""

    standings: Standings
    now: float
    """Monotonic seconds."""
    random: Random
    explore_share: float
    """How many requests may go first to an offer that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The order to try offers in."""

    choices: tuple[Choice, ...]
    exclusions: tuple[Exclusion, ...]
    policy: Policy
    cap_nano: int | None = None
    """The most that the request may be charged."""
    downgraded: str | None = None
    """Why a task's downgrade rule made it, in words."""
    parts: tuple[str, ...] = ()
    """The text as it is said, call by call."""
    downgrade_at: int | None = None
    """How much of a budget, in thousandths, may be used before a cheaper plan takes its place."""

    @property
    def patience(self) -> float:
        """Seconds that the slowest of its offers to begin may take."""
        return max((each.offer.first_audio_seconds for each in self.choices), default=0.0)

    def without(self, choice: Choice, why: str) -> "Plan":
        """The plan once a budget has refused one of its choices."""
        left = tuple(each for each in self.choices if each is not choice)
        refused = Exclusion(choice.offer, "budget", why, choice.bound_nano)
        return replace(self, choices=left, exclusions=(*self.exclusions, refused))

    @property
    def hold_nano(self) -> int:
        """The most that any one choice can cost, as far as prices are known."""
        return max((choice.hold_nano for choice in self.choices), default=0)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a choice stands among the others."""

    tier: tuple[bool, bool, int, int]
    """What goes before any policy: rests, too slow, the model's rank, the place in `order`."""
    key: Key
    candidate: Candidate
    choice: Choice


def make_plan(  # noqa: PLR0913, PLR0917  # everything that a plan depends on, by name
    catalog: Catalog,
    wanted: Wanted,
    speech: Speech,
    preferences: Preferences,
    policy: Policy,
    moment: Moment,
) -> Plan:
    """Sort the offers of the wanted models into choices and exclusions."""
    cap = preferences.cap.nano(len(speech.text))
    judge = Judge(catalog, speech, preferences, cap)
    parts = _parts(speech, preferences)
    said = [(part, longest_ms(part, speech.speed)) for part in parts]
    places: list[_Place] = []
    exclusions: list[Exclusion] = []
    for rank, model in enumerate(wanted.models):
        for offer in catalog.models[model]:
            bound = _bound(offer, said, speech.instructions)
            verdict = judge.verdict(offer, bound)
            if isinstance(verdict, Exclusion):
                exclusions.append(verdict)
            else:
                places.append(_place(verdict, rank, catalog, preferences, policy, moment))
    choices = _in_order(places, preferences, policy, moment)
    if not preferences.allow_fallbacks:
        exclusions += [_without_fallbacks(choice) for choice in choices[1:]]
        choices = choices[:1]
    return Plan(tuple(choices), tuple(exclusions), policy, cap, parts=parts)


def _parts(speech: Speech, preferences: Preferences) -> tuple[str, ...]:
    """The text, or its sentences where a break shall be gone on from at the next."""
    if preferences.continuity == "none" or len(speech.text) > LONGEST_IN_SENTENCES:
        return (speech.text,)
    return tuple(sentences(speech.text))


def _bound(offer: Offer, said: Iterable[tuple[str, int]], instructions: str | None) -> int | None:
    """The most that all calls together can cost; None where the price is not known."""
    bounds = [upper_bound(offer.price, text, ms, instructions) for text, ms in said]
    known = [bound for bound in bounds if bound is not None]
    return sum(known) if len(known) == len(bounds) else None


def _place(  # noqa: PLR0913, PLR0917  # as above
    choice: Choice,
    rank: int,
    catalog: Catalog,
    preferences: Preferences,
    policy: Policy,
    moment: Moment,
) -> _Place:
    offer, now = choice.offer, moment.now
    standing = moment.standings.of(offer.name, now)
    provider = catalog.providers[offer.provider]
    rest = moment.standings.resting(provider, offer, choice.voice, now)
    # Who only has enough to do may be free before the next request is.
    rests = None if rest is None or rest.is_full else rest.reason
    slow = _too_slow(standing, preferences)
    lot = moment.random.expovariate(1.0) if policy == "balanced" else 1.0
    candidate = Candidate(offer, choice.bound_nano, standing, lot)
    return _Place(
        tier=(
            rests is not None,
            slow is not None,
            rank if preferences.partition == "model" else 0,
            _position(offer, preferences.order),
        ),
        key=SORT_KEYS[policy](candidate),
        candidate=candidate,
        choice=replace(choice, demoted=rests or slow),
    )


def _too_slow(standing: Standing, preferences: Preferences) -> str | None:
    """Which of the caller's wishes it falls short of, in words; what is not known does not."""
    if standing.first_audio_ms is not None:
        for name, most in preferences.latency_ms.items():
            seen = getattr(standing.first_audio_ms, name)
            if seen > most:
                return f"its first audio takes {seen:.0f} ms ({name}), more than {most:g}"
    if standing.real_time_factor is not None:
        for name, least in preferences.throughput.items():
            factor = getattr(standing.real_time_factor, name)
            if factor * least > 1:
                return (
                    f"it makes {1 / factor:.2f} s of audio a second ({name}), less than {least:g}"
                )
    return None


def _in_order(
    places: Iterable[_Place], preferences: Preferences, policy: Policy, moment: Moment
) -> list[Choice]:
    ordered = sorted(places, key=lambda each: (each.tier, each.key))
    # Among these, only the policy decides who goes first.
    equals = [each for each in ordered if each.tier == ordered[0].tier]
    if policy in FASTEST_FIRST and preferences.allow_fallbacks and not preferences.order:
        stranger = _stranger(equals, moment)
        ordered.sort(key=lambda each: each is not stranger)
    told = shares(policy, [each.candidate for each in equals])
    told += [None if policy != "balanced" else 0.0] * (len(ordered) - len(equals))
    return [replace(each.choice, share=share) for each, share in zip(ordered, told, strict=True)]


def _stranger(equals: list[_Place], moment: Moment) -> _Place | None:
    """An offer that goes first for once, so that something is known of it."""
    cold = [each for each in equals if each.candidate.standing.is_cold]
    if not cold or len(cold) == len(equals) or moment.random.random() >= moment.explore_share:
        return None
    return moment.random.choice(cold)


def _position(offer: Offer, order: tuple[str, ...]) -> int:
    return order.index(offer.provider) if offer.provider in order else len(order)


def _without_fallbacks(choice: Choice) -> Exclusion:
    detail = "another goes first, and fallbacks are off"
    return Exclusion(choice.offer, "fallbacks", detail, choice.bound_nano)

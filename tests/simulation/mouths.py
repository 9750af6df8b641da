"""Mouths: simulated offers, well or ill by the minute, with rate limits, quotas and odd keys."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from providers import (
    BrokenOff,
    Credential,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Offer,
    Overloaded,
    Price,
    Provider,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)

Mood = Literal["good", "slow", "ill"]
Nature = Literal[
    "steady", "slow", "flapping", "dead", "recovering", "limited", "poor", "locked", "gone"
]
ATTEMPT_SECONDS = 8.0
VOICES = ("alloy", "echo")
FOREVER = 1e9
NATURES: tuple[tuple[Nature, int], ...] = (
    ("steady", 4),
    ("slow", 2),
    ("flapping", 3),
    ("dead", 2),
    ("recovering", 3),
    ("limited", 4),
    ("poor", 1),
    ("locked", 1),
    ("gone", 1),
)


@dataclass(frozen=True)
class Answer:
    """What one attempt meets with, all in seconds since it began."""

    ends: float
    first_audio: float | None = None
    error: ProviderError | None = None


@dataclass
class Mouth:
    """One offer, its provider, and what they are like."""

    offer: Offer
    provider: Provider
    nature: Nature
    random: Random
    turns: list[float]
    """When its mood changes; it begins well if there is an even number of them, else ill."""
    pace: float
    """Seconds to first audio."""
    illness: type[ProviderError] | None
    """What it fails with when it is ill; None: with anything."""
    budget: dict[str, float] = field(default_factory=dict)
    """What a credential has left: requests of a rate, or of a quota."""
    filled_at: dict[str, float] = field(default_factory=dict)

    def mood(self, now: float) -> Mood:
        passed = sum(turn <= now for turn in self.turns)
        if (len(self.turns) - passed) % 2:
            return "ill"
        return "slow" if self.nature == "slow" else "good"

    @property
    def is_steady(self) -> bool:
        return self.nature == "steady"

    @property
    def well_since(self) -> float | None:
        """From when on it is well for good."""
        return self.turns[-1] if self.nature == "recovering" else None

    def answer(self, voice: str, variable: str, now: float) -> Answer:
        random = self.random
        if refusal := self._refusal(voice, variable, now):
            return Answer(random.uniform(0.02, 0.3), error=refusal)
        if random.random() < 0.002:
            return Answer(0.05, error=Refused("400", status=400))
        if self.mood(now) == "ill":
            return self._fail()
        first = self.pace * random.lognormvariate(0, 0.4)
        if first > ATTEMPT_SECONDS:
            return Answer(ATTEMPT_SECONDS, error=TimedOut("late"))
        return Answer(first + random.expovariate(1 / 2.0), first)

    def _refusal(self, voice: str, variable: str, now: float) -> ProviderError | None:
        match self.nature:
            case "limited" if not self._pays(variable, now, rate=3.0, most=10.0):
                return RateLimited(
                    "429", wait=self.random.choice([None, 0.0, 1.0, 5.0, 30.0, 400.0])
                )
            case "poor" if not self._pays(variable, now, rate=0.0, most=25.0):
                return QuotaExhausted("402")
            case "locked" if voice == VOICES[0] or variable.endswith("0"):
                return CredentialRefused("no", status=401 if variable.endswith("0") else 403)
            case "gone" if voice == VOICES[0]:
                return NotOffered("404", status=404)
        return None

    def _pays(self, variable: str, now: float, rate: float, most: float) -> bool:
        """Whether a bucket that fills at this rate holds a request."""
        since = now - self.filled_at.get(variable, 0.0)
        self.budget[variable] = min(most, self.budget.get(variable, most) + since * rate)
        self.filled_at[variable] = now
        if self.budget[variable] < 1:
            return False
        self.budget[variable] -= 1
        return True

    def _fail(self) -> Answer:
        random = self.random
        kind = self.illness or random.choice(
            [Unreachable, TimedOut, Overloaded, NotAudio, BrokenOff]
        )
        if kind is TimedOut:
            return Answer(ATTEMPT_SECONDS, error=TimedOut("late"))
        if kind is BrokenOff:
            return Answer(random.uniform(1, 5), self.pace, BrokenOff("cut"))
        if kind is Overloaded:
            wait = random.choice([None, None, 2.0, 20.0])
            return Answer(random.uniform(0.02, 1), error=Overloaded("503", status=503, wait=wait))
        return Answer(random.uniform(0.01, 0.5), error=kind("ill"))


def mouths(random: Random, begins: float, ends: float) -> list[Mouth]:
    """A few random ones; now and then two of them are one provider's."""
    made: list[Mouth] = []
    for number in range(random.randint(1, 6)):
        each = _mouth(number, random, begins, ends)
        last = made[-1] if made else each
        if last.offer.model != each.offer.model and random.random() < 0.5:
            each.provider = last.provider
            each.offer = replace(each.offer, provider=last.provider.name)
        made.append(each)
    return made


def _mouth(number: int, random: Random, begins: float, ends: float) -> Mouth:
    names, weights = zip(*NATURES, strict=True)
    nature: Nature = random.choices(names, weights)[0]
    name = f"{nature}-{number}"
    keys = random.choice([0, 1, 1, 2, 3])
    credentials = tuple(Credential(f"KEY_{number}_{each}", "secret") for each in range(keys))
    illnesses = [Unreachable, TimedOut, Overloaded, NotAudio, BrokenOff, None]
    return Mouth(
        offer=_offer(name, random),
        provider=Provider(name, "openai_speech", "http://127.0.0.1:1", credentials),
        nature=nature,
        random=random,
        turns=_turns(nature, random, begins, ends),
        pace=random.uniform(3, 6) if nature == "slow" else random.uniform(0.1, 0.8),
        illness=random.choice(illnesses),
    )


def _offer(name: str, random: Random) -> Offer:
    return Offer(
        provider=name,
        model=random.choice(["a/m", "a/n"]),
        upstream="m",
        voices=frozenset(VOICES),
        default_voice=random.choice(VOICES),
        formats={"mp3": "mp3"},
        price=Price(per="character", rate=random.randint(1, 30) * 10**6),
        quality=random.choice([None, random.uniform(0, 100)]),
    )


def _turns(nature: Nature, random: Random, begins: float, ends: float) -> list[float]:
    if nature == "dead":
        return [FOREVER]
    if nature == "recovering":
        return [begins + random.uniform(0.05, 0.5) * (ends - begins)]
    if nature == "flapping":
        turns = [begins]
        while turns[-1] < ends:
            turns.append(turns[-1] + random.uniform(2, 45))
        return turns
    return []

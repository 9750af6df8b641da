"""Requests: each takes its course through the offers as a real one does, but for the audio."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from gateway.dispatch.course import MOST_PER_PROVIDER, Course, Try
from gateway.routing.plan import Choice, Plan
from gateway.routing.policies import POLICIES
from gateway.routing.preferences import Preferences
from gateway.routing.standings import Ending, Rest
from providers import ProviderError, TimedOut, Unreachable
from tests.simulation.mouths import VOICES, Answer
from tests.simulation.planning import planned
from tests.simulation.watch import hold, variables
from tests.simulation.world import World

ATTEMPTS = 3
WAIT_SECONDS = 4.0
"""How long a request waits for a place."""


@dataclass(frozen=True)
class Life:
    """How a seed's requests ended, by kind, and what went wrong."""

    seed: int
    outcomes: Counter[str]
    wrong: str | None = None


def live(seed: int) -> Life:
    world = World(seed)
    try:
        return Life(seed, world.run(lambda here: Request(here).arrive()))
    except Exception as error:  # noqa: BLE001  # whatever breaks, its seed is to be told
        told = f"at {world.now - world.begins:.3f} s: {type(error).__name__}: {error}"
        return Life(seed, world.outcomes, told)


@dataclass
class _Speaking:
    """An attempt in flight."""

    made: Try
    began: float
    answer: Answer
    heard: bool = False


@dataclass(eq=False)
class Request:
    """One request; what the attempts of a real one do, with no audio."""

    world: World
    over: bool = False
    speaking: list[_Speaking] = field(default_factory=list)
    started: list[Try] = field(default_factory=list)
    budget_gone: bool = False

    def arrive(self) -> None:
        world, random = self.world, self.world.random
        world.outcomes["asked"] += 1
        self.key = f"key-{random.choice([0] * 9 + [1, 2, 3])}"
        world.retries.asked(world.now, self.key)
        world.hedges.asked(world.now)
        self.hedged = random.random() < 0.3
        plan = self._plan()
        providers = world.catalog.providers
        self.choices = list(plan.choices)
        self.course = Course(plan.choices, providers, world.watch, world.retries, self.key)
        self.wait_until = world.now + WAIT_SECONDS
        if random.random() < 0.1:
            world.after(random.expovariate(1 / 2.0), partial(self._end, "client left"))
        self._enter()

    def _plan(self) -> Plan:
        world, random = self.world, self.world.random
        names = [each.provider.name for each in world.mouths]
        some = tuple(random.sample(names, random.randint(0, len(names))))
        preferences = Preferences(
            order=some if random.random() < 0.1 else (),
            ignore=some[:1] if random.random() < 0.1 else (),
            partition=random.choice(["model", "none"]),
        )
        policy = random.choice(POLICIES)
        voice = random.choice(["", *VOICES])
        plan = planned(world.catalog, preferences, policy, voice, world.watch, random, world.now)
        told = [choice.offer.name for choice in plan.choices]
        offers = [each.offer for each in world.mouths]
        may = [offer.name for offer in offers if offer.provider not in preferences.ignore]
        hold(sorted(told) == sorted(may), f"{policy} orders {told}, not each of {may} once")
        return plan

    # Before the first attempt.

    def _enter(self) -> None:
        if self.over:
            return
        if not self.choices:
            self._end("nobody may")
            return
        world = self.world
        before = world.watch.granted[self.choices[0].offer.name]
        found = self.course.first(world.now)
        world.well_again(self.choices[0], asked_before=before)
        if isinstance(found, Try):
            self._go(found)
            return
        rests = [(choice, self._rest(choice, found)) for choice in self.choices]
        if not found.is_full:
            self._check_refusal(rests)
            self._end("refused")
        elif world.now < self.wait_until:
            world.after(world.random.uniform(0.3, 1.0), self._enter)
        else:
            self._end("busy")

    def _rest(self, choice: Choice, told: Rest) -> Rest | None:
        """Whoever does not rest would have been asked, and whoever does has done something.

        One that has just recovered is passed over by lot, also where others have enough to do.
        """
        watch, now, name = self.world.watch, self.world.now, choice.offer.name
        provider = self.world.catalog.providers[choice.offer.provider]
        rest = watch.resting(provider, choice.offer, choice.voice, now)
        excuse = watch.excuse(provider, choice.offer, choice.voice, now)
        hold(excuse, f"{name} was not asked and did nothing wrong")
        has_recovered = told.is_full and watch.has_recovered(provider, choice.offer, now)
        hold(rest or has_recovered, f"{name} does not rest and was not asked")
        return rest

    def _check_refusal(self, rests: Iterable[tuple[Choice, Rest | None]]) -> None:
        """Where breakers alone keep everybody away, each has given way within the last second."""
        for choice, rest in rests:
            watch, offer = self.world.watch, choice.offer.name
            if rest and rest.is_broken and not watch.in_flight[offer]:
                provider = self.world.catalog.providers[choice.offer.provider]
                asked_at = max(watch.pasts[offer, each].asked_at for each in variables(provider))
                hold(self.world.now - asked_at < 1, f"no panic for {offer}, which rests: {rest}")

    # Attempts.

    def _go(self, found: Try) -> None:
        """The ledger may still say no to this offer."""
        world = self.world
        if world.random.random() < 0.01:
            self.course.refused(found, world.now)
            self.choices.remove(found.choice)
            if self.started:
                self._end("no budget")
            else:
                self._enter()
            return
        self._start(found)

    def _start(self, found: Try) -> None:
        world = self.world
        name = found.choice.offer.provider
        self.started.append(found)
        asked = sum(each.choice.offer.provider == name for each in self.started)
        hold(asked <= MOST_PER_PROVIDER, f"{name} is asked {asked} times for one request")
        hold(len(self.started) <= ATTEMPTS, f"{len(self.started)} attempts of one request")
        variable = found.grant.credential.variable if found.grant.credential else ""
        answer = world.by_offer[found.choice.offer.name].answer(
            found.choice.voice, variable, world.now
        )
        each = _Speaking(found, world.now, answer)
        self.speaking.append(each)
        if answer.first_audio is not None:
            world.after(answer.first_audio, partial(self._hear, each))
        world.after(answer.ends, partial(self._ended, each))
        if self.hedged:
            world.after(1.0, partial(self._hedge, each))

    def _hear(self, each: _Speaking) -> None:
        """The first audio decides: any other attempt is broken off."""
        if each not in self.speaking:
            return
        each.heard = True
        for other in self.speaking:
            if other is not each:
                self.world.watch.ended(other.made.grant, Ending(), self.world.now)
        self.speaking = [each]

    def _ended(self, each: _Speaking) -> None:
        if each not in self.speaking:
            return
        self.speaking.remove(each)
        answer, now = each.answer, self.world.now
        first = None if answer.first_audio is None else answer.first_audio * 1000
        self.world.watch.ended(each.made.grant, Ending(answer.error, first, 0.3), now)
        if answer.error is None:
            self._end("answered")
        elif each.heard:
            self._end("broken off")
        elif not self.speaking:
            self._fall_back(answer.error, each.made)

    def _hedge(self, late: _Speaking) -> None:
        world = self.world
        waits = late in self.speaking and not late.heard and len(self.speaking) == 1
        if not waits or len(self.started) == ATTEMPTS or not world.hedges.take(world.now):
            return
        found = self.course.beside(late.made, world.now)
        if found is not None:
            hold(not found.grant.is_probe, "a hedge probes")
            self._start(found)

    # Between attempts.

    def _fall_back(self, error: ProviderError, failed: Try) -> None:
        if len(self.started) == ATTEMPTS:
            self._end("three failed")
            return
        world = self.world
        before = world.retries.charged
        world.retries.said_no = False
        found = self.course.after(error, failed, world.now)
        charged = world.retries.charged - before
        if found is None:
            hold(charged == 0, "a retry that is not made is charged")
            self._check_end(error)
            return
        costs = {Unreachable: 0, TimedOut: 3}.get(type(error), 1)
        hold(charged == costs, f"a {found.kind} is charged {charged}, not {costs}")
        if found.kind == "repeat":
            self.pending = found
            world.after(world.random.uniform(0.05, 1.0), partial(self._repeat, found))
        else:
            self._go(found)

    def _repeat(self, found: Try) -> None:
        """After a pause; the client may have left meanwhile."""
        if self.over:
            self.course.unused(found, self.world.now)
        else:
            self._go(found)

    def _check_end(self, error: ProviderError) -> None:
        """Nobody goes on: the budget is used up, or everybody else has a reason to be left out."""
        world = self.world
        if world.retries.said_no:
            self._end("retry budget")
            return
        if not error.elsewhere:
            self._end("pointless")
            return
        tried = [each.choice for each in self.started]
        excuses = []
        for choice in self.choices:
            name = choice.offer.provider
            room = sum(each.offer.provider == name for each in tried) < MOST_PER_PROVIDER
            if choice not in tried and room:
                provider = world.catalog.providers[choice.offer.provider]
                excuse = world.watch.excuse(provider, choice.offer, choice.voice, world.now)
                hold(excuse, f"{choice.offer.name} was left out and did nothing wrong")
                excuses.append(str(excuse))
        self._end("nobody left: " + (min(excuses, default="all tried")))

    def _end(self, outcome: str) -> None:
        if self.over:
            return
        self.over = True
        for each in self.speaking:
            heard = each.answer.first_audio if each.heard else None
            ending = Ending(first_audio_ms=None if heard is None else heard * 1000)
            self.world.watch.ended(each.made.grant, ending, self.world.now)
        self.speaking = []
        self.world.outcomes[outcome] += 1

"""The world: offers, what is remembered of them, and events one after another on its own clock."""

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

from gateway.routing.allowance import Allowance
from gateway.routing.plan import Choice
from gateway.routing.standings import Rest
from gateway.settings import Load, Resilience
from providers import Catalog, Offer
from tests.simulation.mouths import VOICES, mouths
from tests.simulation.watch import Budget, Watch, hold

MOST_REQUESTS = 450
LATER_SECONDS = 4_000.0
"""When no rest lasts any more."""
FIRSTS = 80
"""Requests that a recovered offer may miss: with a tenth of them at least, it gets one."""
LONGEST_ATTEMPT = 30.0
SHORT_REST = 2.0
"""What a probe or a place takes, and no breaker or gate."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.rate = random.choice([0.3, 1.0, 1.0, 4.0, 12.0])
        """Requests a second; the busier the world, the shorter."""
        self.horizon = min(random.uniform(90, 300), MOST_REQUESTS / self.rate)
        self.now = 1_000.0 * random.random()
        self.begins, self.ends = self.now, self.now + self.horizon
        self.rules = Resilience(
            breaker_failures=random.choice([3, 5, 5, 5]),
            breaker_seconds=random.choice([5.0, 10.0, 10.0]),
            retry_share=random.choice([0.0, 0.1, 0.2]),
        )
        self.load = Load(offer_concurrent=random.choice([1, 8, 32, 256, 256]))
        self.mouths = mouths(random, self.begins, self.ends)
        self.by_offer = {each.offer.name: each for each in self.mouths}
        models: dict[str, tuple[Offer, ...]] = {}
        for each in self.mouths:
            models[each.offer.model] = (*models.get(each.offer.model, ()), each.offer)
        providers = {each.provider.name: each.provider for each in self.mouths}
        self.catalog = Catalog(providers, models, {})
        self.watch = Watch(self.rules, self.load, Random(seed + 1))
        self.retries = Budget(self.rules.retry_share)
        self.hedges = Allowance(self.rules.hedge_share, 0.0)
        self.outcomes: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        """By offer: requests that should have found it recovered, in a row."""
        self.shut_until: dict[str, float] = {}
        """By offer: when it could be asked again, as told when it had been well for a while."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def run(self, arrive: Callable[["World"], None]) -> Counter[str]:
        """Live to the end; how requests ended, by kind. Raises Wrong."""
        self._plan_arrivals(lambda: arrive(self))
        while self._events:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
        hold(not self.watch.opened, f"{len(self.watch.opened)} grants never ended")
        hold(self.outcomes.total() == self.outcomes["asked"] * 2, "a request never ended")
        self._check_later()
        return self.outcomes

    def _check_later(self) -> None:
        """Nothing lasts for ever: no place, no probe, no rest."""
        for each in self.mouths:
            for voice in VOICES:
                later = self.now + LATER_SECONDS
                rest = self.watch.resting(each.provider, each.offer, voice, later)
                hold(rest is None, f"{each.offer.name} still rests long after: {rest}")

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._number), happens))

    def _plan_arrivals(self, arrive: Callable[[], None]) -> None:
        """A steady stream, with a burst now and then."""
        at = 0.0
        while (at := at + self.random.expovariate(self.rate)) < self.horizon:
            for _ in range(self.random.choice([1] * 30 + [2, 15])):
                self.after(at, arrive)

    def well_again(self, choice: Choice, *, asked_before: int) -> None:
        """A recovered offer that is first in a plan gets traffic again."""
        name = choice.offer.name
        since = self.by_offer[name].well_since
        # A credential that its provider's other offer uses may rest for that one's sake.
        alone = sum(each.provider.name == choice.offer.provider for each in self.mouths) == 1
        if not alone or since is None or self.now < since + LONGEST_ATTEMPT:
            return
        rest = self._rests(choice)
        if rest is not None:
            # Of one that tries or has enough to do there is nothing to say.
            until = self.now + rest.seconds
            least = self.shut_until.setdefault(name, until) if rest.seconds > SHORT_REST else until
            hold(until < least + SHORT_REST, f"{name} is well, and rests for {rest.seconds}")
        elif self.watch.granted[name] > asked_before:
            self.missed[name] = 0
        elif not self.watch.in_flight[name]:
            self.missed[name] += 1
            hold(self.missed[name] < FIRSTS, f"{name} is well again and nobody asks it")

    def _rests(self, choice: Choice) -> Rest | None:
        provider = self.catalog.providers[choice.offer.provider]
        return self.watch.resting(provider, choice.offer, choice.voice, self.now)

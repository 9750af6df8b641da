"""The ledger as it should be: no database, no running sums; all is added up anew when asked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from gateway.metering.operations import Budget, Claim, Closing
from gateway.metering.scopes import Period, period_start

Answer = str | bool
"""What an operation should be answered: the name of its refusal, or whether it was done."""
COUNTERS = ("posted_nano", "held_nano", "over_nano")
COUNTERS += ("posted_characters", "held_characters", "over_characters", "requests", "streams")


@dataclass
class Attempt:
    provider: str
    bound: int | None
    outcome: str = "intent"
    owed: int = 0
    kind: str = "first"

    @property
    def spoken(self) -> bool:
        return self.owed > 0 or self.outcome in {"done", "unknown"}


@dataclass
class Generation:
    key: "Key"
    at: int
    characters: int
    hold: int
    attempts: dict[int, Attempt]
    claim: Claim | None = None
    status: str = "held"
    cost: int = 0
    charged: int = 0
    late: bool = False
    lost: bool = False
    fallbacks: int = 0

    @property
    def held(self) -> bool:
        return self.status == "held"


@dataclass
class Key:
    hash: str
    project: str
    organisation: str
    disabled: bool = False
    expires: int | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        own = (f"key:{self.hash}", f"project:{self.project}", f"organisation:{self.organisation}")
        return (*own, "global")


@dataclass
class Wish:
    nano: int
    characters: int
    requests: int = 1
    streams: int = 1
    priced: bool = True
    downgrade: bool = False


@dataclass
class Model:
    now: int
    keys: dict[str, Key] = field(default_factory=dict)
    generations: dict[str, Generation] = field(default_factory=dict)
    budgets: dict[tuple[str, Period], Budget] = field(default_factory=dict)
    limits: dict[tuple[str, Period, int], tuple[int | None, int | None]] = field(
        default_factory=dict
    )
    claims: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)

    def used(self, scope: str, period: Period, start: int) -> dict[str, int]:
        """What the requests of a period add up to on one scope."""
        total = dict.fromkeys(COUNTERS, 0)
        for each in self.generations.values():
            if period_start(period, each.at) == start:
                for row in _counts(scope, each):
                    total = {name: total[name] + row.get(name, 0) for name in COUNTERS}
        return total

    def left(self, scope: str, period: Period, start: int, what: str) -> int:
        used = self.used(scope, period, start)
        return used[f"posted_{what}"] + used[f"held_{what}"] - used[f"over_{what}"]

    def touch(self, scopes: tuple[str, ...], at: int) -> None:
        """A period that nobody counted yet gets its budget's limits, where they still fit."""
        for scope, period in self.budgets:
            where = (scope, period, period_start(period, at))
            if scope in scopes and where not in self.limits:
                budget = self.budgets[scope, period]
                nano, characters = budget.limit_nano, budget.limit_characters
                self.limits[where] = (
                    None if nano is None or self.left(*where, "nano") > nano else nano,
                    None
                    if characters is None or self.left(*where, "characters") > characters
                    else characters,
                )

    # What is asked.

    def set_budget(self, budget: Budget) -> Answer:
        where = (budget.scope, budget.period, period_start(budget.period, self.now))
        if _past(budget.limit_nano, self.left(*where, "nano")):
            return "InvalidRequest"
        if _past(budget.limit_characters, self.left(*where, "characters")):
            return "InvalidRequest"
        self.budgets[budget.scope, budget.period] = budget
        self.limits[where] = (budget.limit_nano, budget.limit_characters)
        return True

    def hold(self, id_: str, made: Generation, wish: Wish) -> Answer:
        key, claim = made.key, made.claim
        [first] = made.attempts.values()
        self.touch((*key.scopes, f"provider:{first.provider}"), self.now)
        if key.disabled or (key.expires is not None and key.expires <= self.now):
            return "Unauthenticated"
        if refused := self.claim_refusal(key.hash, claim) or self.refusal(made, first, wish):
            return refused
        self.generations[id_] = made
        if claim:
            self.claims[key.hash, claim.token] = (id_, claim.fingerprint, self.now)
        return True

    def extend(self, id_: str, more: int, seq: int, further: Attempt) -> Answer:
        held = self.open(id_, further.provider)
        if not held.held:
            return False
        wish = Wish(more, 0, 0, 0, priced=further.bound is not None)
        if refused := self.refusal(held, further, wish):
            return refused
        held.hold += more
        held.attempts[seq] = further
        return True

    def resolve(self, id_: str, closing: Closing) -> Answer:
        found = self.open(id_)
        if found.status not in {"held", "unknown"}:
            return False
        results = {each.seq: (each.outcome, each.liability_nano) for each in closing.attempts}
        for seq, attempt in found.attempts.items():
            attempt.outcome, attempt.owed = results.get(seq, ("abandoned", 0))
        found.late, found.status = found.status == "unknown", closing.status
        found.cost, found.charged = closing.cost_nano, closing.charged_characters
        made = [each.kind for seq, each in found.attempts.items() if seq in results]
        found.fallbacks = made.count("fallback") + made.count("resume")
        return True

    def lose(self, ids: Iterable[str]) -> None:
        for found in [self.open(id_) for id_ in ids]:
            if found.held:
                found.status, found.cost, found.lost = "unknown", found.hold, True
                for attempt in found.attempts.values():
                    attempt.outcome, attempt.owed = "unknown", attempt.bound or 0

    def judge(self, ids: Iterable[str], *, keep: bool) -> None:
        for found in [self.open(id_) for id_ in ids]:
            if found.status == "unknown":
                found.status = "settled" if keep else "voided"
                found.cost = found.cost if keep else 0
                for attempt in found.attempts.values():
                    attempt.outcome, attempt.owed = "abandoned", attempt.owed if keep else 0

    def open(self, id_: str, further: str | None = None) -> Generation:
        """A generation, with the periods that it counts on begun."""
        found = self.generations[id_]
        asked = {each.provider for each in found.attempts.values()} | {further}
        self.touch((*found.key.scopes, *(f"provider:{each}" for each in asked)), found.at)
        return found

    def assert_charged_once(self) -> None:
        """I5: an Idempotency-Key pays once in its lifetime, but for what was lost.

        That frees the key; its money may stay spent, by a late end or by the operator's rule.
        """
        paid: dict[tuple[str, str], list[int]] = {}
        for each in self.generations.values():
            if each.claim and each.status == "settled" and not each.lost:
                times = paid.setdefault((each.key.hash, each.claim.token), [])
                assert all(each.at - at > each.claim.lifetime_ms for at in times)
                times.append(each.at)

    # Why not.

    def refusal(self, made: Generation, asked: Attempt, wish: Wish) -> str | None:
        """The payers, then the house, then the provider: the first that cannot take it."""
        bound = asked.bound or 0
        above = replace(wish, nano=bound)
        owed = Wish(bound, made.characters, priced=wish.priced, downgrade=wish.downgrade)
        wishes = [(scope, wish) for scope in made.key.scopes[:-1]]
        wishes += [("global", above), (f"provider:{asked.provider}", owed)]
        return next(filter(None, (self._first(*each, made.at) for each in wishes)), None)

    def _first(self, scope: str, wish: Wish, at: int) -> str | None:
        for period in sorted(each for name, each in self.budgets if name == scope):
            if refused := self._refusal((scope, period, period_start(period, at)), wish):
                return refused
        return None

    def _refusal(  # noqa: PLR0911  # one a reason
        self, where: tuple[str, Period, int], wish: Wish
    ) -> str | None:
        scope, period, _ = where
        budget, used = self.budgets[scope, period], self.used(*where)
        nano, characters = (self.left(*where, what) for what in ("nano", "characters"))
        soft = _past(budget.soft_nano, nano + wish.nano)
        if wish.downgrade and (soft or _past(budget.soft_characters, characters + wish.characters)):
            return "SoftLimit"
        most_nano, most_characters = self.limits[where]
        final = "OfferRefused" if scope.startswith("provider:") else "BudgetExceeded"
        if most_nano is not None and not wish.priced:
            return "OfferRefused"
        if most_nano is not None and nano + wish.nano > most_nano:
            return final
        if most_characters is not None and characters + wish.characters > most_characters:
            waits = period in {"minute", "hour"} and wish.characters <= most_characters
            return "RateLimited" if waits else final
        if wish.requests and _past(budget.limit_requests, used["requests"] + 1):
            never = budget.limit_requests == 0 or period == "total"
            return final if never else "RateLimited"
        if wish.streams and _past(budget.limit_streams, used["streams"] + 1):
            return "RateLimited"
        return None

    def claim_refusal(self, key: str, claim: Claim | None) -> str | None:
        earlier = self.claims.get((key, claim.token)) if claim else None
        if claim is None or earlier is None:
            return None
        id_, fingerprint, at = earlier
        status = self.generations[id_].status
        if status in {"voided", "unknown"} or at < self.now - claim.lifetime_ms:
            return None
        if fingerprint != claim.fingerprint:
            return "Mismatch"
        return "Conflict" if status == "held" else "Replay"


def _past(limit: int | None, wanted: int) -> bool:
    return limit is not None and wanted > limit


def _counts(scope: str, each: Generation) -> Iterator[dict[str, int]]:
    """A request's rows on a scope: as a payer's, once; as a provider's, once an attempt."""
    kind, _, name = scope.partition(":")
    mine = [a for a in each.attempts.values() if kind == "global" or a.provider == name]
    for attempt in mine if kind in {"global", "provider"} else ():
        money = _row("nano", each.held, attempt.bound or 0, attempt.owed)
        spoken = each.characters if attempt.spoken else 0
        counts = _row("characters", each.held, each.characters, spoken)
        once = {"requests": 1, "streams": int(each.held)}
        yield money if kind == "global" else money | counts | {"over_characters": 0} | once
    if scope in each.key.scopes:
        money = _row("nano", each.held, each.hold, each.cost)
        counts = _row("characters", each.held, each.characters, each.charged)
        over = {"over_characters": each.charged if each.late else 0}
        once = {"requests": 1, "streams": int(each.held)}
        yield (counts if kind == "global" else money | counts) | over | once


def _row(what: str, held: bool, most: int, came: int) -> dict[str, int]:  # noqa: FBT001
    if held:
        return {f"held_{what}": most}
    return {f"posted_{what}": came, f"over_{what}": max(0, came - most)}

"""Keys and budgets as pages show them: what is allowed, used, held and left."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.dashboard import words
from gateway.endpoints.key_told import left
from gateway.metering.register import Account, KeyAccount, KeyName
from gateway.metering.scopes import GLOBAL, period_end

State = Literal["on", "disabled", "expired"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a budget limits; money in nano-USD."""

    name: Literal["money", "characters", "requests", "requests at once"]
    limit: int | None
    soft: int | None
    used: int
    held: int | None
    left: int | None

    @property
    def is_money(self) -> bool:
        return self.name == "money"

    def written(self, amount: int) -> str:
        """A limit, or what is used or left of it, in words."""
        return words.money(amount) if self.is_money else f"{words.count(amount)} {self.name}"


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget with its running period."""

    scope: str
    kind: str
    name: str
    """What people call whom it limits."""
    period: str
    resets_ms: int | None
    measures: tuple[Measure, ...]

    @property
    def key_hash(self) -> str | None:
        """The key that it limits, where it limits one."""
        return self.scope.partition(":")[2] if self.kind == "key" else None


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key with its own limit."""

    key: KeyAccount
    state: State
    limits: tuple[Measure, ...]
    """Of money and characters, in the period of the key's limit."""
    resets_ms: int | None

    @property
    def is_on(self) -> bool:
        return self.state != "disabled"


def measures(account: Account) -> tuple[Measure, ...]:
    """What the budget limits, or has a soft threshold for."""
    of, now = account.budget, account.balance
    money, characters = of.limit_nano, of.limit_characters
    requests, streams = of.limit_requests, of.limit_streams
    every = (
        Measure(
            "money",
            money,
            of.soft_nano,
            now.posted_nano,
            now.held_nano,
            left(money, now.used_nano),
        ),
        Measure(
            "characters",
            characters,
            of.soft_characters,
            now.posted_characters,
            now.held_characters,
            left(characters, now.used_characters),
        ),
        Measure("requests", requests, None, now.requests, None, left(requests, now.requests)),
        Measure("requests at once", streams, None, now.streams, None, left(streams, now.streams)),
    )
    return tuple(each for each in every if each.limit is not None or each.soft is not None)


def key_line(key: KeyAccount, now_ms: int) -> KeyLine:
    period = key.row["limit_period"]
    account = key.account(period)
    limits = tuple(each for each in measures(account) if each.name in {"money", "characters"})
    resets_ms = period_end(period, account.balance.start_ms)
    return KeyLine(key, _state(key, now_ms), limits, resets_ms)


def budget_line(account: Account, names: Mapping[str, KeyName]) -> BudgetLine:
    budget = account.budget
    kind, _, id_ = budget.scope.partition(":")
    name = names[id_].name if id_ in names else id_ or "this gateway"
    resets_ms = period_end(budget.period, account.balance.start_ms)
    return BudgetLine(budget.scope, kind, name, budget.period, resets_ms, measures(account))


def key_hashes(scopes: Iterable[str]) -> set[str]:
    """The keys among scopes."""
    split = (scope.partition(":") for scope in scopes if scope != GLOBAL)
    return {name for kind, _, name in split if kind == "key"}


def _state(key: KeyAccount, now_ms: int) -> State:
    if key.row["disabled"]:
        return "disabled"
    ends_ms = key.row["expires_ms"]
    return "expired" if ends_ms is not None and ends_ms <= now_ms else "on"

"""Budgets as a page tells them: what of each limit is used, what is left, and until when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.keys import Caller
from gateway.dashboard.accounts import Measure, key_hashes, measures
from gateway.metering import register
from gateway.metering.register import Account, KeyName
from gateway.metering.scopes import GLOBAL, period_end, project_scope, scope_of

MOST_READ = 2000
MOST_TOLD = 20
_OWNER = {"organisation": "Organisation", "project": "Project", "provider": "Provider"}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one budget, in words."""

    owner: str
    period: str
    most: str
    left: str
    used: float
    """The share of it that is used or held, from 0 to 1."""
    resets_ms: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Those that are fullest, and how many there are beside them."""

    shown: Sequence[Limit]
    more: int


async def limits_of(connection: AsyncConnection, caller: Caller) -> Limits:
    """All to a management key, its project's to a reading one, and to every key its own."""
    accounts: list[Account] = []
    for scope in _scopes(caller):
        accounts += await register.budgets(connection, scope, limit=MOST_READ)
    limits = [limit for account in accounts for limit in _limits(account)]
    fullest = sorted(limits, key=lambda limit: -limit.used)[:MOST_TOLD]
    keys = key_hashes(limit.account.budget.scope for limit in fullest)
    names = await register.key_names(connection, keys)
    shown = [_told(limit, _owner(limit.account, names, caller)) for limit in fullest]
    return Limits(shown, len(limits) - len(shown))


def _scopes(caller: Caller) -> list[str | None]:
    of_key, of_project = caller.sees
    own: list[str | None] = [scope_of(caller.key_hash)]
    if of_project is not None:
        own.append(project_scope(of_project))
    return own if of_key or of_project else [None]


def _owner(account: Account, names: Mapping[str, KeyName], caller: Caller) -> str:
    kind, _, name = account.budget.scope.partition(":")
    if account.budget.scope == GLOBAL:
        return "Everything"
    if kind == "key":
        called = names[name].name if name in names else ""
        return "This key" if name == caller.key_hash else f"Key {called or name[:8]}"
    return f"{_OWNER.get(kind, kind)} {name}"


@dataclass(frozen=True, slots=True)
class _Found:
    """A limit that is not put into words yet: most are not among the fullest."""

    account: Account
    measure: Measure
    most: int
    left: int

    @property
    def used(self) -> float:
        return 1 - self.left / self.most if self.most else 1.0


def _limits(account: Account) -> Iterator[_Found]:
    """Of money, characters and requests, those that there are."""
    if account.budget.period == "minute":
        return
    for each in measures(account):
        if each.name != "requests at once" and each.limit is not None and each.left is not None:
            yield _Found(account, each, each.limit, each.left)


def _told(limit: _Found, owner: str) -> Limit:
    period = limit.account.budget.period
    return Limit(
        owner,
        "in all" if period == "total" else f"per {period}",
        limit.measure.written(limit.most),
        limit.measure.written(limit.left),
        limit.used,
        period_end(period, limit.account.balance.start_ms),
    )

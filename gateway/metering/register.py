"""The register: keys, budgets, projects and what changed, as they are read beside the ledger."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, RowMapping, Table, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.metering.balances import Balance
from gateway.metering.operations import Budget
from gateway.metering.scopes import Period, balance_id, period_start, scope_of
from gateway.metering.spent import Spent, spent_since
from gateway.metering.statements import BALANCE
from gateway.tables import api_key, audit, balance, budget, organisation, project, rollup, secret

PAGE = 100
_UNUSED = (0,) * 8
_SEARCHED = (api_key.c.name, api_key.c.label)
_LIMITS = [column for column in budget.c if column.name not in {"scope", "period"}]


@dataclass(frozen=True, slots=True)
class Account:
    """A budget, and what its running period has used."""

    budget: Budget
    balance: Balance


Accounts = Mapping[str, Account]
"""One scope's, by period."""


@dataclass(frozen=True, slots=True)
class KeyAccount:
    """A key with everything that its budgets count, and what it spent lately."""

    row: RowMapping
    accounts: Accounts
    spent: Spent

    @property
    def hash(self) -> str:
        hash_: str = self.row["hash"]
        return hash_

    @property
    def budgets(self) -> dict[str, Budget]:
        return {period: account.budget for period, account in self.accounts.items()}

    def account(self, period: Period) -> Account:
        """An unlimited one where the key has no budget."""
        unlimited = Budget(scope_of(self.hash), period)
        return self.accounts.get(period) or _account(unlimited, {}, 0)


@dataclass(frozen=True, slots=True)
class Which:
    """Which keys: of one project or of all, the disabled too or not."""

    project: str | None = None
    include_disabled: bool = True
    search: str | None = None
    """A part of their name or label, or the beginning of their id."""

    @property
    def wanted(self) -> list[ColumnElement[bool]]:
        wanted = [] if self.project is None else [api_key.c.project == self.project]
        if not self.include_disabled:
            wanted.append(api_key.c.disabled.is_(False))
        if self.search:
            parts = (column.icontains(self.search, autoescape=True) for column in _SEARCHED)
            wanted.append(
                or_(*parts, api_key.c.hash.startswith(self.search.lower(), autoescape=True))
            )
        return wanted


@dataclass(frozen=True, slots=True)
class KeyName:
    """What a key is or was called; audit names keys that are gone."""

    name: str
    is_deleted: bool


async def keys(
    connection: AsyncConnection, which: Which, offset: int = 0, limit: int = PAGE
) -> list[KeyAccount]:
    """Keys with their accounts, newest first; deleted ones are gone."""
    return await _keys(connection, which.wanted, offset, limit)


async def key_count(connection: AsyncConnection, which: Which) -> int:
    """How many keys there are to page through."""
    wanted = select(func.count()).where(api_key.c.deleted_ms.is_(None), *which.wanted)
    return int((await connection.execute(wanted)).scalar_one())


async def keys_of_projects(connection: AsyncConnection) -> dict[str, int]:
    """How many keys each project has; one without keys is absent."""
    wanted = (
        select(api_key.c.project, func.count())
        .where(api_key.c.deleted_ms.is_(None))
        .group_by(api_key.c.project)
    )
    return {row[0]: int(row[1]) for row in await connection.execute(wanted)}


@dataclass(frozen=True, slots=True)
class ProjectUse:
    """What a project's keys used; money in nano-USD."""

    requests: int = 0
    characters: int = 0
    cost_nano: int = 0


async def use_of_projects(connection: AsyncConnection, start_ms: int) -> dict[str, ProjectUse]:
    """What each project used from a day's start on; one without use is absent."""
    names = ("requests", "characters", "cost_nano")
    by_key = (
        select(rollup.c.key_hash, *(func.sum(rollup.c[name]).label(name) for name in names))
        .where(rollup.c.width == "day", rollup.c.start_ms >= start_ms)
        .group_by(rollup.c.key_hash)
        .subquery()
    )
    wanted = (
        select(api_key.c.project, *(func.sum(by_key.c[name]) for name in names))
        .join_from(by_key, api_key, by_key.c.key_hash == api_key.c.hash)
        .group_by(api_key.c.project)
    )
    rows = await connection.execute(wanted)
    return {row[0]: ProjectUse(*map(int, row[1:])) for row in rows}


async def key_names(connection: AsyncConnection, hashes: Iterable[str]) -> dict[str, KeyName]:
    """What keys are called, by their id; what is no key's id is absent."""
    wanted = select(api_key.c.hash, api_key.c.name, api_key.c.deleted_ms)
    rows = await connection.execute(wanted.where(api_key.c.hash.in_(sorted(set(hashes)))))
    return {row.hash: KeyName(row.name, row.deleted_ms is not None) for row in rows}


async def older_secret_ends(connection: AsyncConnection, key_hash: str, now_ms: int) -> int | None:
    """Epoch ms until which a secret from before a rotation still works; None: there is none."""
    ends = func.max(secret.c.expires_ms)
    wanted = select(ends).where(secret.c.key_hash == key_hash, secret.c.expires_ms > now_ms)
    found: int | None = (await connection.execute(wanted)).scalar_one()
    return found


async def key(connection: AsyncConnection, key_hash: str) -> KeyAccount | None:
    """One key, unless it was deleted."""
    found = await _keys(connection, [api_key.c.hash == key_hash], 0, 1)
    return found[0] if found else None


async def keys_like(connection: AsyncConnection, which: str) -> list[KeyAccount]:
    """Keys by their name or their id's beginning."""
    begins = api_key.c.hash.startswith(which, autoescape=True)
    return await _keys(connection, [or_(api_key.c.name == which, begins)], 0, PAGE)


async def budgets(
    connection: AsyncConnection,
    scope: str | None = None,
    offset: int = 0,
    limit: int = PAGE,
    kind: str | None = None,
) -> list[Account]:
    """Budgets that limit something, by scope and period; of one scope, of a kind of them or all."""
    wanted = (
        select(budget)
        .where(or_(*(column.is_not(None) for column in _LIMITS)))
        .order_by(budget.c.scope, budget.c.period)
        .offset(offset)
        .limit(limit)
    )
    if scope is not None:
        wanted = wanted.where(budget.c.scope == scope)
    if kind is not None:
        wanted = wanted.where(budget.c.scope.startswith(f"{kind}:"))
    rows = (await connection.execute(wanted)).all()
    return await _accounts(connection, [Budget(*row) for row in rows])


async def organisations(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _all(connection, organisation)


async def projects(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _all(connection, project)


async def changes(
    connection: AsyncConnection,
    subject: str | None,
    before_id: int | None,
    limit: int,
    actor: str | None = None,
) -> Sequence[RowMapping]:
    """What was changed, newest first, from before `before_id`; by one actor or by all."""
    wanted = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if subject is not None:
        wanted = wanted.where(audit.c.subject == subject)
    if actor is not None:
        wanted = wanted.where(audit.c.actor == actor)
    if before_id is not None:
        wanted = wanted.where(audit.c.id < before_id)
    return (await connection.execute(wanted)).mappings().all()


async def _all(connection: AsyncConnection, table: Table) -> Sequence[RowMapping]:
    return (await connection.execute(select(table).order_by(table.c.id))).mappings().all()


async def _keys(
    connection: AsyncConnection, wanted: Sequence[ColumnElement[bool]], offset: int, limit: int
) -> list[KeyAccount]:
    rows = await connection.execute(
        select(api_key)
        .where(api_key.c.deleted_ms.is_(None), *wanted)
        .order_by(api_key.c.created_ms.desc(), api_key.c.hash)
        .offset(offset)
        .limit(limit)
    )
    found = rows.mappings().all()
    scopes = [scope_of(row["hash"]) for row in found]
    counted = await connection.execute(select(budget).where(budget.c.scope.in_(scopes)))
    accounts: dict[str, dict[str, Account]] = {scope: {} for scope in scopes}
    for account in await _accounts(connection, [Budget(*row) for row in counted]):
        accounts[account.budget.scope][account.budget.period] = account
    spent = await spent_since(connection, [row["hash"] for row in found])
    return [
        KeyAccount(row, accounts[scope], spent.get(row["hash"], Spent()))
        for row, scope in zip(found, scopes, strict=True)
    ]


async def _accounts(connection: AsyncConnection, those: Sequence[Budget]) -> list[Account]:
    """Budgets with their running periods."""
    now_ms = int(time.time() * 1000)
    ids = [_running(each, now_ms) for each in those]
    wanted = select(*(balance.c[name] for name in BALANCE)).where(balance.c.id.in_(ids))
    balances = {row.id: Balance(*row) for row in await connection.execute(wanted)}
    return [_account(each, balances, now_ms) for each in those]


def _account(of: Budget, balances: Mapping[str, Balance], now_ms: int) -> Account:
    """A period that nobody has used yet has no balance."""
    id_, start = _running(of, now_ms), period_start(of.period, now_ms)
    limits = (of.limit_nano, of.limit_characters)
    unused = Balance(id_, of.scope, of.period, start, *limits, *_UNUSED)
    return Account(of, balances.get(id_, unused))


def _running(of: Budget, now_ms: int) -> str:
    return balance_id(of.scope, of.period, period_start(of.period, now_ms))

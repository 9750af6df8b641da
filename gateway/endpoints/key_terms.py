"""A key's terms: what is wished for it becomes the ledger's operations, or is refused by name."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType

from gateway.access.allowed import EVERYTHING, Allowed, Names, names, read_allowed
from gateway.access.keys import SPEAK, label, new_id
from gateway.access.pepper import keyed_hash
from gateway.endpoints.amounts import moment_to_come, nano
from gateway.endpoints.decoding import wrong
from gateway.endpoints.key_body import RESETS, AllowedBody, KeyChange, NewKey, Rates
from gateway.endpoints.state import Routes
from gateway.metering.operations import Budget, ChangeKey, CreateKey
from gateway.metering.prices import usd
from gateway.metering.register import KeyAccount
from gateway.metering.scopes import Period, scope_of
from gateway.routing.tasks import TASK_PREFIX


@dataclass(frozen=True, slots=True)
class _Limits:
    """A key's own budgets, and of which period its limit is."""

    period: Period
    budgets: Mapping[str, Budget]


def new_key_operation(
    key: str, pepper: bytes, wanted: NewKey, routes: Routes, actor: str = "operator"
) -> CreateKey:
    """The ledger's operation that makes `key` as `wanted`."""
    id_, now_ms = new_id(), int(time.time() * 1000)
    limits = _limits(wanted, scope_of(id_), _Limits("total", {}))
    return CreateKey(
        hash=id_,
        secret=keyed_hash(pepper, key),
        name=wanted.name,
        label=label(key),
        scopes=" ".join(dict.fromkeys(wanted.scopes or (SPEAK,))),
        created_ms=now_ms,
        expires_ms=moment_to_come(wanted.expires_at or None, "expires_at", now_ms),
        project=wanted.project or "default",
        allowed=_allowed(wanted.allowed, EVERYTHING, routes).json(),
        default_task=_task(wanted.default_task or None, routes),
        budgets=tuple(limits.budgets.values()),
        actor=actor,
        disabled=wanted.disabled or False,
        limit_period=limits.period,
    )


def key_change_operation(
    key: KeyAccount, change: KeyChange, routes: Routes, actor: str = "operator"
) -> ChangeKey:
    """The ledger's operation that changes a key as it was read."""
    row, now_ms = key.row, int(time.time() * 1000)
    before = _Limits(row["limit_period"], key.budgets)
    limits = _limits(change, scope_of(key.hash), before)
    scopes = row["scopes"] if change.scopes is UNSET else " ".join(dict.fromkeys(change.scopes))
    expires_ms, task = row["expires_ms"], row["default_task"]
    if change.expires_at is not UNSET:
        expires_ms = moment_to_come(change.expires_at, "expires_at", now_ms)
    if change.default_task is not UNSET:
        task = _task(change.default_task, routes)
    return ChangeKey(
        key_hash=key.hash,
        name=row["name"] if change.name is UNSET else change.name,
        disabled=row["disabled"] if change.disabled is UNSET else change.disabled,
        updated_ms=now_ms,
        expires_ms=expires_ms,
        scopes=scopes,
        allowed=_allowed(change.allowed, read_allowed(row["allowed"]), routes).json(),
        default_task=task,
        budgets=tuple(each for each in limits.budgets.values() if each != _was(before, each)),
        actor=actor,
        project=row["project"] if change.project is UNSET else change.project,
        limit_period=limits.period,
        seen_ms=row["updated_ms"] or 0,
    )


# Limits.


def _limits(change: KeyChange, scope: str, before: _Limits) -> _Limits:
    """The budgets of a key: those of its limit, which may move to another period, and its rates."""
    budgets = dict(before.budgets)
    period = before.period if change.limit_reset is UNSET else RESETS[change.limit_reset]
    old = budgets.get(before.period) or Budget(scope, before.period)
    budgets[before.period] = _limited(old, Budget(scope, before.period))
    new = _limited(budgets.get(period) or Budget(scope, period), old)
    if change.limit is not UNSET:
        new = replace(new, limit_nano=nano(change.limit, "limit"))
    if change.soft_limit is not UNSET:
        new = replace(new, soft_nano=nano(change.soft_limit, "soft_limit"))
    if change.characters_limit is not UNSET:
        new = replace(new, limit_characters=change.characters_limit)
    check_soft(new.soft_nano, new.limit_nano)
    budgets[period] = new
    if change.rates is not UNSET:
        _rate(budgets, scope, change.rates or Rates(None, None, None))
    blank = (each for each, budget in budgets.items() if not budget.limits)
    for each in [each for each in blank if each not in before.budgets]:
        del budgets[each]
    return _Limits(period, budgets)


def _limited(budget: Budget, like: Budget) -> Budget:
    """The budget with what the other one allows to spend."""
    return replace(
        budget,
        limit_nano=like.limit_nano,
        soft_nano=like.soft_nano,
        limit_characters=like.limit_characters,
        soft_characters=like.soft_characters,
    )


def _rate(budgets: dict[str, Budget], scope: str, rates: Rates) -> None:
    minute = budgets.get("minute") or Budget(scope, "minute")
    if rates.requests_per_minute is not UNSET:
        minute = replace(minute, limit_requests=rates.requests_per_minute)
    if rates.characters_per_minute is not UNSET:
        minute = replace(minute, limit_characters=rates.characters_per_minute)
    budgets["minute"] = minute
    if rates.concurrent is not UNSET:
        total = budgets.get("total") or Budget(scope, "total")
        budgets["total"] = replace(total, limit_streams=rates.concurrent)


def check_soft(soft_nano: int | None, limit_nano: int | None) -> None:
    if soft_nano is not None and limit_nano is not None and soft_nano > limit_nano:
        told = f"{usd(soft_nano)} USD is above limit, which is {usd(limit_nano)} USD"
        raise wrong("soft_limit", told)


def _was(before: _Limits, budget: Budget) -> Budget:
    return before.budgets.get(budget.period) or Budget(budget.scope, budget.period)


# Names.


def _allowed(body: AllowedBody | UnsetType | None, before: Allowed, routes: Routes) -> Allowed:
    if body is UNSET:
        return before
    if body is None:
        return EVERYTHING
    catalog = routes.catalog
    _check_known(body.models, "allowed.models", catalog.models)
    _check_known(body.providers, "allowed.providers", catalog.providers)
    return Allowed(
        _chosen(body.models, before.models),
        _chosen(body.providers, before.providers),
        _chosen(body.voices, before.voices),
    )


def _chosen(given: Sequence[str] | UnsetType | None, before: Names) -> Names:
    return before if given is UNSET else names(given)


def _check_known(given: Sequence[str] | UnsetType | None, field: str, known: Iterable[str]) -> None:
    known = sorted(known)
    if unknown := sorted(set(given or ()) - set(known)):
        raise wrong(field, f"{unknown[0]!r} is not known here; known: {', '.join(known[:20])}")


def _task(name: str | None, routes: Routes) -> str | None:
    if name is None:
        return None
    name = name.removeprefix(TASK_PREFIX)
    _check_known([name], "default_task", routes.tasks)
    return name

"""Administration: keys, budgets, projects and organisations, as somebody in charge changes them.

Each change is one transaction, and leaves one row of audit, which never tells a secret or its hash.
Everything is decided before the first row is written: a refusal changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec

from gateway.errors import Conflict, GatewayError, InvalidRequest, NotFound
from gateway.metering.balances import Balance, too_low, with_limits
from gateway.metering.books import Books
from gateway.metering.operations import (
    Administration,
    Budget,
    ChangeKey,
    ChangeProject,
    CreateKey,
    CreateOrganisation,
    CreateProject,
    DeleteKey,
    Forget,
    RotateKey,
    SetBudgets,
)
from gateway.metering.scopes import (
    Period,
    balance_id,
    organisation_scope,
    period_start,
    project_scope,
    scope_of,
)
from gateway.metering.statements import PROJECT, TERMS

_terms = attrgetter(*TERMS)
Told = dict[str, object]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key's row, locked, as its changes need it."""

    hash: str
    updated_ms: int | None
    label: str
    name: str
    project: str
    scopes: str
    disabled: bool
    expires_ms: int | None
    allowed: str | None
    default_task: str | None
    limit_period: Period


def administer(books: Books, operation: Administration) -> GatewayError | bool:  # noqa: PLR0911  # one a kind
    match operation:
        case SetBudgets():
            return _change_budgets(books, operation)
        case CreateKey():
            return _create_key(books, operation)
        case ChangeKey():
            return _change_key(books, operation)
        case RotateKey():
            return _rotate_key(books, operation)
        case DeleteKey():
            return _delete_key(books, operation)
        case CreateOrganisation():
            return _create_organisation(books, operation)
        case CreateProject():
            return _create_project(books, operation)
        case ChangeProject():
            return _change_project(books, operation)
        case Forget():
            return _forget(books, operation)


# Keys.


def _create_key(books: Books, operation: CreateKey) -> GatewayError | bool:
    if not _is_named(books, "project", operation.project):
        return _unknown_project(operation.project)
    if operation.unless is not None and _is_made(books, operation):
        return False
    to, cursor, scope = books.statements, books.cursor, scope_of(operation.hash)
    budgets = {"total": Budget(scope, "total"), **{each.period: each for each in operation.budgets}}
    if refused := _set_budgets(books, tuple(budgets.values())):
        return refused
    row = (operation.hash, operation.label, operation.created_ms, *_terms(operation))
    to.insert_key.run(cursor, [row])
    secret = (operation.secret, operation.hash, operation.created_ms, None)
    to.insert_secret.run(cursor, [secret])
    books.audit(operation.actor, "key.create", scope, None, _told(operation, operation.budgets))
    return True


def _is_made(books: Books, operation: CreateKey) -> bool:
    """Whether another gateway was first."""
    to, cursor = books.statements, books.cursor
    if operation.unless == "known":
        return bool(to.known.all(cursor, operation.secret))
    return bool(to.managing.all(cursor))


def _change_key(books: Books, operation: ChangeKey) -> GatewayError | bool:
    key = _stored(books, operation.key_hash)
    if key is None:
        return _no_key()
    if operation.seen_ms is not None and operation.seen_ms != (key.updated_ms or 0):
        return Conflict("the key was changed in between; read it again")
    if not _is_named(books, "project", operation.project):
        return _unknown_project(operation.project)
    scope = scope_of(key.hash)
    of_scope = books.budgets.get(scope, {})
    before = [of_scope[each.period] for each in operation.budgets if each.period in of_scope]
    if refused := _set_budgets(books, operation.budgets):
        return refused
    row = (_later(key, operation.updated_ms), *_terms(operation), key.hash)
    books.statements.change_key.run(books.cursor, [row])
    told = _told(key, before), _told(operation, operation.budgets)
    books.audit(operation.actor, _named_change(key, operation), scope, *told)
    return True


def _rotate_key(books: Books, operation: RotateKey) -> GatewayError | bool:
    key = _stored(books, operation.key_hash)
    if key is None:
        return _no_key()
    to, cursor, ends_ms = books.statements, books.cursor, books.now_ms + operation.grace_ms
    older = to.secrets.all(cursor, key.hash)
    ending = [(ends_ms, hash_) for hash_, ends in older if ends is None or ends > ends_ms]
    to.expire_secret.run(cursor, ending)
    to.insert_secret.run(cursor, [(operation.secret, key.hash, books.now_ms, None)])
    row = (_later(key, books.now_ms), operation.label, key.hash)
    to.rotate_key.run(cursor, [row])
    after = {"label": operation.label, "older_secrets_expire_ms": ends_ms}
    scope = scope_of(key.hash)
    books.audit(operation.actor, "key.rotate", scope, {"label": key.label}, after)
    return True


def _delete_key(books: Books, operation: DeleteKey) -> GatewayError | bool:
    key = _stored(books, operation.key_hash)
    if key is None:
        return _no_key()
    row = (_later(key, books.now_ms), books.now_ms, key.hash)
    books.statements.delete_key.run(books.cursor, [row])
    books.audit(operation.actor, "key.delete", scope_of(key.hash), _told(key, ()), None)
    return True


def _stored(books: Books, key_hash: str) -> StoredKey | None:
    rows = books.statements.stored_key.all(books.cursor, key_hash)
    return StoredKey(*rows[0]) if rows else None


def _later(key: StoredKey, at_ms: int) -> int:
    """Changes of a key are told apart by their times, which therefore only grow."""
    return max(at_ms, (key.updated_ms or 0) + 1)


def _named_change(before: StoredKey, after: ChangeKey) -> str:
    if bool(before.disabled) == after.disabled:
        return "key.change"
    return "key.disable" if after.disabled else "key.enable"


def _told(key: StoredKey | CreateKey | ChangeKey, budgets: Sequence[Budget]) -> Told:
    """A key's terms and budgets as audit keeps them."""
    told = dict(zip(TERMS, _terms(key), strict=True))
    allowed = None if key.allowed is None else msgspec.json.decode(key.allowed)
    return told | {"disabled": bool(key.disabled), "allowed": allowed, "budgets": list(budgets)}


def _no_key() -> NotFound:
    return NotFound("there is no such key", param="hash")


# Projects and organisations.


def _create_organisation(books: Books, operation: CreateOrganisation) -> GatewayError | bool:
    if _is_named(books, "organisation", operation.id):
        return _taken("organisation", operation.id)
    row = (operation.id, operation.name, books.now_ms)
    books.statements.insert_organisation.run(books.cursor, [row])
    after = {"name": operation.name}
    scope = organisation_scope(operation.id)
    books.audit(operation.actor, "organisation.create", scope, None, after)
    return True


def _create_project(books: Books, operation: CreateProject) -> GatewayError | bool:
    if not _is_named(books, "organisation", operation.organisation):
        wrong = f"organisation: there is no organisation {operation.organisation!r}"
        return InvalidRequest(wrong, param="organisation")
    if _is_named(books, "project", operation.id):
        return _taken("project", operation.id)
    kept = (operation.keep_text_hours, operation.keep_audio_hours)
    row = (operation.id, operation.organisation, books.now_ms, operation.name, *kept)
    books.statements.insert_project.run(books.cursor, [row])
    after = dict(zip(PROJECT, (operation.name, *kept), strict=True))
    after["organisation"] = operation.organisation
    books.audit(operation.actor, "project.create", project_scope(operation.id), None, after)
    return True


def _change_project(books: Books, operation: ChangeProject) -> GatewayError | bool:
    to, cursor = books.statements, books.cursor
    found = to.stored_project.all(cursor, operation.id)
    if not found:
        return NotFound(f"there is no project {operation.id!r}", param="id")
    before = dict(zip(PROJECT, found[0], strict=True))
    given = {name: getattr(operation, name) for name in PROJECT}
    after = before | {name: value for name, value in given.items() if value is not None}
    to.change_project.run(cursor, [(*after.values(), operation.id)])
    books.audit(operation.actor, "project.change", project_scope(operation.id), before, after)
    return True


def _forget(books: Books, operation: Forget) -> GatewayError | bool:
    """Of what is still spoken, the end is waited for: it may be kept a moment later."""
    to, cursor, id_ = books.statements, books.cursor, operation.generation_id
    found = to.kept_text.all(cursor, id_)
    if not found:
        return NotFound(f"there is no generation {id_!r}", param="id")
    status, expires_ms = found[0]
    if status == "held":
        return Conflict("it is still being spoken; try again when it has ended", retry_after=2)
    to.forget_text.run(cursor, [(id_,)])
    before = {"text": expires_ms is not None}
    books.audit(operation.actor, "generation.forget", f"generation:{id_}", before, None)
    return True


def _is_named(books: Books, kind: str, id_: str) -> bool:
    return bool(books.statements.named[kind].all(books.cursor, id_))


def _unknown_project(id_: str) -> InvalidRequest:
    return InvalidRequest(f"project: there is no project {id_!r}", param="project")


def _taken(kind: str, id_: str) -> InvalidRequest:
    return InvalidRequest(f"id: there is a {kind} {id_!r} already", param="id")


# Budgets.


def _change_budgets(books: Books, operation: SetBudgets) -> GatewayError | bool:
    if unknown := [each.scope for each in operation.budgets if not _is_there(books, each.scope)]:
        kind, _, name = unknown[0].partition(":")
        return NotFound(f"scope: there is no {kind} {name!r}", param="scope")
    before = [books.budgets.get(each.scope, {}).get(each.period) for each in operation.budgets]
    if refused := _set_budgets(books, operation.budgets):
        return refused
    for earlier, budget in zip(before, operation.budgets, strict=True):
        action = "budget.set" if budget.limits else "budget.remove"
        books.audit(operation.actor, action, budget.scope, earlier, budget)
    return True


def _is_there(books: Books, scope: str) -> bool:
    kind, _, name = scope.partition(":")
    if kind == "key":
        return _stored(books, name) is not None
    return kind not in books.statements.named or _is_named(books, kind, name)


def _set_budgets(books: Books, budgets: Sequence[Budget]) -> GatewayError | None:
    """All of them or none; the running period's balance takes its new limit at once."""
    counted: list[tuple[Budget, Balance, bool]] = []
    for budget in budgets:
        start = period_start(budget.period, books.now_ms)
        known = books.balances.get(balance_id(budget.scope, budget.period, start))
        balance = known or books.counted(budget, start)
        if wrong := too_low(balance, budget):
            return InvalidRequest(wrong, param=wrong.partition(":")[0])
        counted.append((budget, balance, known is None))
    for budget, balance, new in counted:
        books.set_budget(budget, with_limits(balance, budget), new=new)
    return None

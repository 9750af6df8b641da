"""Administration: keys and budgets change in a transaction of their own, and leave an audit row."""

from collections.abc import Sequence

from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.metering.balances import Balance, too_low, with_limits
from gateway.metering.books import Books
from gateway.metering.operations import (
    Administration,
    Budget,
    ChangeKey,
    CreateKey,
    SetBudgets,
)
from gateway.metering.scopes import balance_id, period_start, scope_of


def administer(books: Books, operation: Administration) -> GatewayError | bool:
    match operation:
        case SetBudgets():
            return _set_budgets(books, operation.budgets, operation.actor)
        case CreateKey():
            return _create_key(books, operation)
        case ChangeKey():
            return _change_key(books, operation)


def _create_key(books: Books, operation: CreateKey) -> GatewayError | bool:
    to, cursor = books.statements, books.cursor
    values = (operation.expires_ms, operation.allowed, operation.default_task)
    row = (operation.hash, operation.project, operation.name, operation.label, operation.scopes)
    to.insert_key.run(cursor, [(*row, operation.created_ms, *values)])
    secret = (operation.secret, operation.hash, operation.created_ms, None)
    to.insert_secret.run(cursor, [secret])
    scope = scope_of(operation.hash)
    budgets = {"total": Budget(scope, "total"), **{each.period: each for each in operation.budgets}}
    refused = _set_budgets(books, tuple(budgets.values()), None)
    if refused is not True:
        return refused
    books.audit(operation.actor, "key.create", scope, None, operation)
    return True


def _change_key(books: Books, operation: ChangeKey) -> GatewayError | bool:
    key = books.keys.get(operation.key_hash)
    if key is None or key.deleted_ms is not None:
        return NotFound("there is no such key")
    refused = _set_budgets(books, operation.budgets, None)
    if refused is not True:
        return refused
    row = (operation.name, operation.disabled, operation.updated_ms, operation.scopes)
    rest = (operation.expires_ms, operation.allowed, operation.default_task, operation.key_hash)
    books.statements.change_key.run(books.cursor, [(*row, *rest)])
    books.audit(operation.actor, "key.change", scope_of(operation.key_hash), key, operation)
    return True


def _set_budgets(books: Books, budgets: Sequence[Budget], actor: str | None) -> GatewayError | bool:
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
        before = books.budgets.get(budget.scope, {}).get(budget.period)
        books.set_budget(budget, with_limits(balance, budget), new=new)
        if actor is not None:
            books.audit(actor, "budget.set", budget.scope, before, budget)
    return True

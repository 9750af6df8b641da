"""The work of `gateway budgets`: each function is the command of its name."""

from functools import partial
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.command.printing import out, print_json, print_table
from gateway.command.work.ledger import carry_out, read, routes, said, understood
from gateway.endpoints.budgets import ALLOWED, budget_decoder, budget_of, told
from gateway.errors import GatewayError
from gateway.metering import register
from gateway.metering.operations import Budget, SetBudgets
from gateway.metering.register import Account


def list_budgets(scope: str | None, *, as_json: bool) -> None:
    rows = [told(each) for each in read(partial(_all, scope=scope))]
    if as_json:
        print_json({"data": rows})
    else:
        print_table("budgets", [_shown(row) for row in rows])


def set_budget(scope: str, period: str, options: dict[str, Any], *, as_json: bool) -> None:
    whole = said(**options) | {"scope": scope, "period": period}
    body = understood(whole, budget_decoder, ALLOWED)
    try:
        budget = budget_of(body, routes())
    except GatewayError as error:
        raise click.UsageError(error.message) from None
    carry_out(SetBudgets((budget,), "operator"))
    rows = [told(each) for each in read(partial(_all, scope=scope)) if each.budget == budget]
    if as_json:
        print_json({"data": rows[0] if rows else None})
    else:
        out.print(f"{scope} has its budget per {period}", highlight=False)


def remove(scope: str, period: str, *, as_json: bool) -> None:
    found = [each for each in read(partial(_all, scope=scope)) if each.budget.period == period]
    if not found:
        raise click.UsageError(f"there is no budget of {scope!r} per {period}")
    budget = found[0].budget
    carry_out(SetBudgets((Budget(budget.scope, budget.period),), "operator"))
    if as_json:
        print_json({"deleted": True})
    else:
        out.print(f"{scope} has no budget per {period} any more", highlight=False)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A budget as people read it: what is used of what there is."""
    return {
        "scope": row["scope"],
        "period": row["period"],
        "USD": _of(row["used"], row["limit"]),
        "characters": _of(row["characters_used"], row["characters_limit"]),
        "requests": _of(row["requests"], row["requests_limit"]),
        "at once": _of(row["running"], row["concurrent"]),
    }


def _of(used: object, limit: object) -> str:
    return str(used) if limit is None else f"{used} of {limit}"


async def _all(connection: AsyncConnection, scope: str | None) -> list[Account]:
    found: list[Account] = []
    while page := await register.budgets(connection, scope, len(found)):
        found += page
    return found

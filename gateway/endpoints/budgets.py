"""`/budgets`: what each scope may use in a period, and what of it is used; management only."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, put
from litestar.params import QueryParameter
from msgspec import Meta

from gateway.endpoints.amounts import COUNT_ALLOWED, MOST_COUNT, USD_ALLOWED, iso, nano
from gateway.endpoints.decoding import decode, wrong
from gateway.endpoints.key_terms import check_soft
from gateway.endpoints.key_told import left
from gateway.endpoints.keys import managing
from gateway.endpoints.paths import both
from gateway.endpoints.state import Routes
from gateway.errors import InvalidRequest, NotFound
from gateway.metering import register
from gateway.metering.operations import Budget, SetBudgets
from gateway.metering.prices import usd
from gateway.metering.register import Account
from gateway.metering.scopes import GLOBAL, KINDS, PERIODS, Period, period_end

Plain = Request[Any, Any, Any]
SCOPES = "organisation:<id>, project:<id>, key:<hash>, provider:<name> or global"
ALLOWED = {
    "scope": SCOPES,
    "period": ", ".join(PERIODS),
    "limit": USD_ALLOWED,
    "soft_limit": USD_ALLOWED + "; not above limit",
    "characters_limit": COUNT_ALLOWED,
    "soft_characters_limit": COUNT_ALLOWED + "; not above characters_limit",
    "requests_limit": COUNT_ALLOWED,
    "concurrent": COUNT_ALLOWED + "; of period total only",
}
ScopeName = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)] | None


class BudgetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scope's budget of one period, all of it: an absent limit is none."""

    scope: ScopeName
    period: Period
    limit: Decimal | None = None
    soft_limit: Decimal | None = None
    characters_limit: Count = None
    soft_characters_limit: Count = None
    requests_limit: Count = None
    concurrent: Count = None


budget_decoder = msgspec.json.Decoder(BudgetBody)


@get(both("/budgets"))
async def list_budgets(
    request: Plain,
    of: Annotated[str | None, QueryParameter(name="scope", max_length=120)] = None,
    offset: Annotated[int, QueryParameter(ge=0, le=2**31)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 100,
) -> dict[str, Any]:
    """Everything that limits something, with what its running period has used, held and left."""
    gateway, _ = await managing(request)
    async with gateway.reading.connect() as connection:
        found = await register.budgets(connection, _plain(of), offset, limit + 1)
    data = [told(each) for each in found[:limit]]
    return {"object": "list", "data": data, "has_more": len(found) > limit}


@put(both("/budgets"))
async def set_budget(request: Plain) -> dict[str, Any]:
    """Set a scope's budget of one period, in place of what it had."""
    gateway, caller = await managing(request)
    body = decode(await request.body(), budget_decoder, ALLOWED)
    budget = budget_of(body, gateway.routes)
    await gateway.writer.submit(SetBudgets((budget,), caller.key_hash))
    async with gateway.reading.connect() as connection:
        found = await register.budgets(connection, budget.scope)
    return {"data": next((told(each) for each in found if each.budget == budget), None)}


@delete(both("/budgets"), status_code=200)
async def remove_budget(
    request: Plain,
    of: Annotated[str, QueryParameter(name="scope", max_length=120)],
    period: Period,
) -> dict[str, Any]:
    """Take a budget's limits away; what it counted goes on being counted."""
    gateway, caller = await managing(request)
    async with gateway.reading.connect() as connection:
        found = await register.budgets(connection, _plain(of))
    if all(each.budget.period != period for each in found):
        raise NotFound(f"there is no budget of {of!r} per {period}", param="scope")
    await gateway.writer.submit(SetBudgets((Budget(of, period),), caller.key_hash))
    return {"deleted": True}


def budget_of(body: BudgetBody, routes: Routes) -> Budget:
    """The ledger's budget; whether there is such a project or key is the ledger's to say."""
    _check_scope(body.scope, routes)
    limit, soft = nano(body.limit, "limit"), nano(body.soft_limit, "soft_limit")
    check_soft(soft, limit)
    most, softly = body.characters_limit, body.soft_characters_limit
    if most is not None and softly is not None and softly > most:
        raise wrong("soft_characters_limit", f"{softly} is above characters_limit, {most}")
    if body.concurrent is not None and body.period != "total":
        raise wrong("concurrent", f"give {ALLOWED['concurrent']}")
    counts = (most, softly, body.requests_limit, body.concurrent)
    return Budget(body.scope, body.period, limit, soft, *counts)


def told(account: Account) -> dict[str, Any]:
    """A budget with its running period; money as exact decimals of USD."""
    budget, balance = account.budget, account.balance
    remaining = left(budget.limit_nano, balance.used_nano)
    return {
        "scope": budget.scope,
        "period": budget.period,
        "starts_at": iso(balance.start_ms) if budget.period != "total" else None,
        "resets_at": iso(period_end(budget.period, balance.start_ms)),
        "limit": _money(budget.limit_nano),
        "soft_limit": _money(budget.soft_nano),
        "used": usd(balance.posted_nano),
        "held": usd(balance.held_nano),
        "left": _money(remaining),
        "characters_limit": budget.limit_characters,
        "soft_characters_limit": budget.soft_characters,
        "characters_used": balance.posted_characters,
        "characters_held": balance.held_characters,
        "characters_left": left(budget.limit_characters, balance.used_characters),
        "requests_limit": budget.limit_requests,
        "requests": balance.requests,
        "concurrent": budget.limit_streams,
        "running": balance.streams,
    }


def _check_scope(scope: str, routes: Routes) -> None:
    kind, _, name = scope.partition(":")
    if scope != GLOBAL and (kind not in KINDS or not name):
        raise wrong("scope", f"{scope!r} is none of {SCOPES}")
    if kind == "provider" and name not in routes.catalog.providers:
        known = ", ".join(routes.catalog.providers)
        raise NotFound(f"scope: there is no provider {name!r}; there are {known}", param="scope")


def _plain(scope: str | None) -> str | None:
    if scope is not None and not scope.isprintable():
        raise InvalidRequest(f"scope: give {SCOPES}", param="scope")
    return scope


def _money(nano_usd: int | None) -> str | None:
    return None if nano_usd is None else usd(nano_usd)

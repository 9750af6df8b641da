"""Budgets: what every scope may use in each period, what of it is used; set, changed, removed."""

from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import json

from gateway.dashboard.accounts import budget_line, key_hashes
from gateway.dashboard.forms import Form, Kinds, as_body, page_number, plain, refused, typed
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.budgets import ALLOWED, budget_decoder, budget_of
from gateway.endpoints.decoding import decode
from gateway.errors import GatewayError, NotFound
from gateway.metering import register
from gateway.metering.operations import Budget, SetBudgets
from gateway.metering.prices import usd
from gateway.metering.register import Account
from gateway.metering.scopes import GLOBAL, KINDS, PERIODS

PER_PAGE = 50
FIELDS: Kinds = {
    "scope": "text",
    "period": "text",
    "limit": "text",
    "soft_limit": "text",
    "characters_limit": "count",
    "soft_characters_limit": "count",
    "requests_limit": "count",
    "concurrent": "count",
}
Answer = Response[str] | Redirect


@get("/dashboard/budgets")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    query = request.query_params
    scope, kind = plain(query.get("scope"), 120), query.get("kind", "")
    # One scope is named whole; all of a kind by the kind.
    kind = kind if kind in KINDS else ""
    number = page_number(query.get("page"))
    offset = (number - 1) * PER_PAGE
    async with visitor.gateway.reading.connect() as connection:
        found = await register.budgets(
            connection, scope or None, offset, PER_PAGE + 1, kind or None
        )
        hashes = key_hashes(each.budget.scope for each in found)
        names = await register.key_names(connection, hashes)
    asked = {"scope": scope, "kind": kind}
    told = {
        "lines": [budget_line(each, names) for each in found[:PER_PAGE]],
        "kinds": KINDS,
        "asked": asked,
        "back": _place(asked, number - 1) if number > 1 else None,
        "on": _place(asked, number + 1) if len(found) > PER_PAGE else None,
        "done": query.get("done"),
    }
    return html("budgets.html", _common(visitor) | told)


@get("/dashboard/budgets/set")
async def one(request: Plain) -> Response[str]:
    """The form of one budget, filled in with what it has."""
    visitor = await visitor_of(request, manages=True)
    query = request.query_params
    scope, period = plain(query.get("scope"), 120), plain(query.get("period"), 6) or "month"
    account = await _account(visitor, scope, period)
    values = {"scope": scope, "period": period} | ({} if account is None else _as_typed(account))
    return await _form(visitor, Form(values), account)


@post("/dashboard/budgets", status_code=303)
async def set_budget(request: Plain) -> Answer:
    visitor = await visitor_of(request, manages=True)
    values, gateway = await typed(request), visitor.gateway
    try:
        body = decode(json.encode(as_body(values, FIELDS)), budget_decoder, ALLOWED)
        budget = budget_of(body, gateway.routes)
        await gateway.writer.submit(SetBudgets((budget,), visitor.caller.key_hash))
    except GatewayError as error:
        return await _refused(visitor, values, error)
    return _back(budget.scope, "set")


@post("/dashboard/budgets/remove", status_code=303)
async def remove_budget(request: Plain) -> Answer:
    """Take a budget's limits away; what it counted goes on being counted."""
    visitor = await visitor_of(request, manages=True)
    values = await typed(request)
    account = await _account(visitor, plain(values.get("scope"), 120), values.get("period", ""))
    if account is None:
        raise NotFound("there is no such budget")
    blank = Budget(account.budget.scope, account.budget.period)
    await visitor.gateway.writer.submit(SetBudgets((blank,), visitor.caller.key_hash))
    return _back(blank.scope, "removed")


async def _refused(visitor: Visitor, values: dict[str, str], error: GatewayError) -> Answer:
    scope, period = plain(values.get("scope"), 120), values.get("period", "")
    account = await _account(visitor, scope, period)
    return await _form(visitor, refused(values, error, FIELDS), account, error.status)


async def _account(visitor: Visitor, scope: str, period: str) -> Account | None:
    """The budget as it stands; None where nothing limits the scope in that period."""
    if not scope:
        return None
    async with visitor.gateway.reading.connect() as connection:
        found = await register.budgets(connection, scope)
    return next((each for each in found if each.budget.period == period), None)


async def _form(
    visitor: Visitor, form: Form, account: Account | None, status: int = 200
) -> Response[str]:
    async with visitor.gateway.reading.connect() as connection:
        organisations = await register.organisations(connection)
        projects = await register.projects(connection)
        names = await register.key_names(connection, key_hashes([form.value("scope")]))
    known = [GLOBAL, *(f"organisation:{row['id']}" for row in organisations)]
    known += [f"project:{row['id']}" for row in projects]
    known += [f"provider:{name}" for name in sorted(visitor.gateway.routes.catalog.providers)]
    told = {
        "form": form,
        "line": None if account is None else budget_line(account, names),
        "names": names,
        "known": known,
        "periods": PERIODS,
    }
    return html("budget.html", _common(visitor) | told, status)


def _as_typed(account: Account) -> dict[str, str]:
    budget = account.budget
    money = {"limit": budget.limit_nano, "soft_limit": budget.soft_nano}
    counts = {
        "characters_limit": budget.limit_characters,
        "soft_characters_limit": budget.soft_characters,
        "requests_limit": budget.limit_requests,
        "concurrent": budget.limit_streams,
    }
    said = {name: usd(nano) for name, nano in money.items() if nano is not None}
    return said | {name: str(number) for name, number in counts.items() if number is not None}


def _place(asked: dict[str, str], number: int) -> str:
    given = {name: value for name, value in asked.items() if value}
    return f"/dashboard/budgets?{urlencode(given | {'page': str(number)})}"


def _back(scope: str, done: str) -> Redirect:
    place = f"/dashboard/budgets?{urlencode({'scope': scope, 'done': done})}"
    return Redirect(place, status_code=303, headers=HEADERS)


def _common(visitor: Visitor) -> dict[str, object]:
    return {"visitor": visitor, "page": "keys", "tab": "budgets"}

"""Keys: the list of them, a new one, and what a key that does not manage sees of itself."""

import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.response import Redirect

from gateway.access.allowed import read_allowed
from gateway.access.keys import new_id, new_key
from gateway.access.pepper import keyed_digest
from gateway.dashboard.accounts import budget_line, key_line
from gateway.dashboard.forms import Form, page_number, plain, refused, typed
from gateway.dashboard.key_form import BLANK, KINDS, SCOPES, new_key_of
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.key_terms import new_key_operation
from gateway.errors import GatewayError, NotFound
from gateway.metering import register
from gateway.metering.operations import CreateKey
from gateway.metering.scopes import scope_of

PER_PAGE = 50


@get("/dashboard/keys")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request)
    return await (_list(request, visitor) if visitor.manages else _own(visitor))


@get("/dashboard/keys/new")
async def blank(request: Plain) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    values = {**BLANK, "once": new_id()}
    if project := plain(request.query_params.get("project"), 64):
        values["project"] = project
    return await _form(visitor, Form(values))


@post("/dashboard/keys", status_code=200)
async def create(request: Plain) -> Response[str] | Redirect:
    """Make a key and show its plain text, in this answer only: a repeated form makes no other."""
    visitor = await visitor_of(request, manages=True)
    values = await typed(request)
    id_, gateway = _id(visitor, values), visitor.gateway
    if await _is_made(visitor, id_):
        return _made(id_)
    key = new_key()
    try:
        wanted = new_key_of(values)
        actor = visitor.caller.key_hash
        operation = new_key_operation(key, gateway.pepper, wanted, gateway.routes, actor)
        await gateway.writer.submit(_under(operation, id_))
    except GatewayError as error:
        if await _is_made(visitor, id_):  # by the same form, sent twice at once
            return _made(id_)
        return await _form(visitor, refused(values, error, KINDS), error.status)
    told = {"name": wanted.name, "hash": id_, "secret": key, "grace": None}
    return html("key_secret.html", _common(visitor) | told)


def choices(visitor: Visitor) -> dict[str, object]:
    """What the form of a key offers to choose from, beside the projects."""
    routes = visitor.gateway.routes
    return {
        "scopes": SCOPES,
        "resets": {"": "never", "daily": "daily", "weekly": "weekly", "monthly": "monthly"},
        "tasks": sorted(routes.tasks),
        "models": sorted(routes.catalog.models),
        "providers": sorted(routes.catalog.providers),
    }


async def _list(request: Plain, visitor: Visitor) -> Response[str]:
    query = request.query_params
    search, project = plain(query.get("q")), plain(query.get("project"), 64)
    hides = query.get("disabled") == "hide"
    number = page_number(query.get("page"))
    which = register.Which(project or None, not hides, search or None)
    async with visitor.gateway.reading.connect() as connection:
        found = await register.keys(connection, which, (number - 1) * PER_PAGE, PER_PAGE)
        total = await register.key_count(connection, which)
        projects = await register.projects(connection)
    now_ms = int(time.time() * 1000)
    asked = {"q": search, "project": project, "disabled": "hide" if hides else ""}
    told = {
        "lines": [key_line(key, now_ms) for key in found],
        "total": total,
        "first": (number - 1) * PER_PAGE,
        "asked": asked,
        "projects": projects,
        "newer": _place(asked, number - 1) if number > 1 else None,
        "older": _place(asked, number + 1) if number * PER_PAGE < total else None,
        "done": query.get("done"),
    }
    return html("keys.html", _common(visitor) | told)


async def _own(visitor: Visitor) -> Response[str]:
    async with visitor.gateway.reading.connect() as connection:
        key = await register.key(connection, visitor.caller.key_hash)
        if key is None:
            raise NotFound("there is no such key")
        budgets = await register.budgets(connection, scope_of(key.hash))
    line = key_line(key, int(time.time() * 1000))
    told = {
        "line": line,
        "budgets": [budget_line(each, {}) for each in budgets],
        "allowed": read_allowed(key.row["allowed"]),
    }
    return html("own_key.html", {"visitor": visitor, "page": "keys"} | told)


async def _form(visitor: Visitor, form: Form, status: int = 200) -> Response[str]:
    async with visitor.gateway.reading.connect() as connection:
        projects = await register.projects(connection)
    told = {"form": form, "projects": projects} | choices(visitor)
    return html("key_new.html", _common(visitor) | told, status)


def _common(visitor: Visitor) -> dict[str, object]:
    return {"visitor": visitor, "page": "keys", "tab": "keys"}


def _place(asked: Mapping[str, str], number: int) -> str:
    given = {name: value for name, value in asked.items() if value}
    return f"/dashboard/keys?{urlencode(given | {'page': str(number)})}"


def _id(visitor: Visitor, values: Mapping[str, str]) -> str:
    """The new key's public id: the same for the same form of the same session."""
    once = values.get("once") or new_id()
    return keyed_digest(visitor.gateway.pepper, f"{visitor.form_token} {once}".encode())


async def _is_made(visitor: Visitor, id_: str) -> bool:
    async with visitor.gateway.reading.connect() as connection:
        return id_ in await register.key_names(connection, [id_])


def _made(id_: str) -> Redirect:
    """To the key of a form that was sent before; what its secret was, nobody knows here."""
    return Redirect(f"/dashboard/keys/{id_}", status_code=303, headers=HEADERS)


def _under(operation: CreateKey, id_: str) -> CreateKey:
    """The operation for a key of this id, in place of one by lot."""
    budgets = tuple(replace(each, scope=scope_of(id_)) for each in operation.budgets)
    return replace(operation, hash=id_, budgets=budgets)

"""One key: its terms, its use, its budgets and its changes; and everything that is done to it."""

import re
import time
from dataclasses import dataclass, field

from litestar import Response, get, post
from litestar.response import Redirect

from gateway.access.keys import label, new_key
from gateway.access.pepper import keyed_hash
from gateway.dashboard.accounts import budget_line, key_line
from gateway.dashboard.changes import change_lines
from gateway.dashboard.forms import Form, Typed, refused, typed
from gateway.dashboard.key_form import GRACES, KINDS, as_typed, change_of, rotation_of
from gateway.dashboard.pages.keys import choices
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.decoding import wrong
from gateway.endpoints.key_body import KeyChange
from gateway.endpoints.key_terms import key_change_operation
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.metering import register
from gateway.metering.operations import DeleteKey, RotateKey
from gateway.metering.register import KeyAccount
from gateway.metering.scopes import scope_of

LAST_CHANGES = 10
_HASH = re.compile("[0-9a-f]{64}")
Answer = Response[str] | Redirect


@dataclass(frozen=True, slots=True)
class _Forms:
    """The forms of the page, of which one may have been refused."""

    terms: Form | None = None
    rotation: Form = field(default_factory=lambda: Form({"grace_seconds": "3600"}))
    removal: Form = field(default_factory=Form)
    status: int = 200


@get("/dashboard/keys/{hash_:str}")
async def page(request: Plain, hash_: str) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    key = await _key(visitor, hash_)
    return await _page(visitor, key, _Forms(), request.query_params.get("done"))


@post("/dashboard/keys/{hash_:str}", status_code=303)
async def change(request: Plain, hash_: str) -> Answer:
    """Change what is not as it was; refused where somebody else changed the key meanwhile."""
    visitor = await visitor_of(request, manages=True)
    key, values = await _key(visitor, hash_), await typed(request)
    try:
        _check_seen(key, values)
        wanted = change_of(values, as_typed(key))
        if wanted is None:
            return _back(hash_, "same")
        await _submit_change(visitor, key, wanted)
    except GatewayError as error:
        form = refused(values, error, KINDS)
        return await _page(visitor, key, _Forms(terms=form, status=error.status))
    return _back(hash_, "changed")


@post("/dashboard/keys/{hash_:str}/disable", status_code=303)
async def disable(request: Plain, hash_: str) -> Redirect:
    return await _switch(request, hash_, disabled=True)


@post("/dashboard/keys/{hash_:str}/enable", status_code=303)
async def enable(request: Plain, hash_: str) -> Redirect:
    return await _switch(request, hash_, disabled=False)


@post("/dashboard/keys/{hash_:str}/rotate", status_code=200)
async def rotate(request: Plain, hash_: str) -> Answer:
    """A new secret, shown in this answer only; a repeated form makes no other."""
    visitor = await visitor_of(request, manages=True)
    key, values = await _key(visitor, hash_), await typed(request)
    secret, gateway = new_key(), visitor.gateway
    try:
        _check_seen(key, values)
        grace = rotation_of(values).grace_seconds
        hashed, actor = keyed_hash(gateway.pepper, secret), visitor.caller.key_hash
        rotation = RotateKey(hash_, hashed, label(secret), grace * 1000, actor)
        await gateway.writer.submit(rotation)
    except GatewayError as error:
        form = refused(values, error, {"grace_seconds"})
        return await _page(visitor, key, _Forms(rotation=form, status=error.status))
    told = {"name": key.row["name"], "hash": hash_, "secret": secret}
    grace_told = GRACES.get(str(grace), f"for {grace} seconds")
    return html("key_secret.html", _common(visitor) | told | {"grace": grace_told})


@post("/dashboard/keys/{hash_:str}/delete", status_code=303)
async def delete(request: Plain, hash_: str) -> Answer:
    """Delete the key, once its name was typed."""
    visitor = await visitor_of(request, manages=True)
    key, values = await _key(visitor, hash_), await typed(request)
    try:
        if values.get("confirm", "") != key.row["name"].strip():
            raise wrong("confirm", "type the name of the key exactly as it is")
        await visitor.gateway.writer.submit(DeleteKey(hash_, visitor.caller.key_hash))
    except GatewayError as error:
        form = refused(values, error, {"confirm"})
        return await _page(visitor, key, _Forms(removal=form, status=error.status))
    return Redirect("/dashboard/keys?done=deleted", status_code=303, headers=HEADERS)


async def _switch(request: Plain, hash_: str, *, disabled: bool) -> Redirect:
    visitor = await visitor_of(request, manages=True)
    key = await _key(visitor, hash_)
    if key.row["disabled"] != disabled:
        await _submit_change(visitor, key, KeyChange(disabled=disabled))
    return _back(hash_, "disabled" if disabled else "enabled")


async def _submit_change(visitor: Visitor, key: KeyAccount, wanted: KeyChange) -> None:
    gateway, actor = visitor.gateway, visitor.caller.key_hash
    await gateway.writer.submit(key_change_operation(key, wanted, gateway.routes, actor))


async def _key(visitor: Visitor, hash_: str) -> KeyAccount:
    async with visitor.gateway.reading.connect() as connection:
        key = await register.key(connection, hash_) if _HASH.fullmatch(hash_) else None
    if key is None:
        raise NotFound("there is no such key")
    return key


async def _page(
    visitor: Visitor, key: KeyAccount, forms: _Forms, done: str | None = None
) -> Response[str]:
    now_ms, scope = int(time.time() * 1000), scope_of(key.hash)
    async with visitor.gateway.reading.connect() as connection:
        budgets = await register.budgets(connection, scope)
        older_ms = await register.older_secret_ends(connection, key.hash, now_ms)
        projects = await register.projects(connection)
        changes = await change_lines(connection, scope, None, LAST_CHANGES)
    seen = str(key.row["updated_ms"] or 0)
    told = {
        "line": key_line(key, now_ms),
        "seen": seen,
        # Whoever was refused for being late must look at the key as it is now.
        "seen_by_form": forms.terms.value("seen") if forms.terms else seen,
        "is_own": key.hash == visitor.caller.key_hash,
        "older_ms": older_ms,
        "form": forms.terms or Form(as_typed(key)),
        "rotation": forms.rotation,
        "removal": forms.removal,
        "graces": GRACES,
        "budgets": [budget_line(each, {}) for each in budgets],
        "changes": changes,
        "projects": projects,
        "done": done,
    }
    return html("key.html", _common(visitor) | told | choices(visitor), forms.status)


def _check_seen(key: KeyAccount, values: Typed) -> None:
    if values.get("seen") != str(key.row["updated_ms"] or 0):
        raise Conflict("the key was changed since this form was loaded; load the page again")


def _back(hash_: str, done: str) -> Redirect:
    place = f"/dashboard/keys/{hash_}?done={done}"
    return Redirect(place, status_code=303, headers=HEADERS)


def _common(visitor: Visitor) -> dict[str, object]:
    return {"visitor": visitor, "page": "keys", "tab": "keys"}

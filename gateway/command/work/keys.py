"""The work of `gateway keys`: each function is the command of its name."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.keys import label, new_key
from gateway.access.pepper import keyed_hash, read_pepper
from gateway.command.printing import err, out, print_json, print_table
from gateway.command.work.ledger import carry_out, read, routes, said, understood
from gateway.configuration import read_settings
from gateway.endpoints.key_body import (
    ALLOWED,
    KeyChange,
    key_change_decoder,
    new_key_decoder,
    rotation_decoder,
)
from gateway.endpoints.key_terms import key_change_operation, new_key_operation
from gateway.endpoints.key_told import told
from gateway.errors import GatewayError
from gateway.metering import register
from gateway.metering.operations import DeleteKey, RotateKey

RATES = ("requests_per_minute", "characters_per_minute", "concurrent")
LISTS = ("models", "providers", "voices")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def create(name: str, options: dict[str, Any], *, as_json: bool) -> None:
    wanted = understood(_body(options) | {"name": name}, new_key_decoder, ALLOWED)
    key = new_key()
    operation = _checked(partial(new_key_operation, key, _pepper(), wanted, routes()))
    carry_out(operation)
    _show_secret(_one(operation.hash), key, as_json=as_json)


def list_keys(*, as_json: bool) -> None:
    rows = [told(each) for each in read(_all)]
    if as_json:
        print_json({"data": rows})
        return
    print_table("keys", [_shown(row) for row in rows])


def show(which: str, *, as_json: bool) -> None:
    row = told(_one(which))
    if as_json:
        print_json({"data": row})
        return
    print_table(row["name"], [{"field": name, "value": value} for name, value in row.items()])


def change(which: str, name: str | None, options: dict[str, Any], *, as_json: bool) -> None:
    body = _body(options) | ({} if name is None else {"name": name})
    if not body:
        raise click.UsageError("nothing to change: give at least one option")
    _change(which, understood(body, key_change_decoder, ALLOWED), "changed", as_json=as_json)


def rotate(which: str, grace: str, *, as_json: bool) -> None:
    seconds = understood(said(grace_seconds=grace), rotation_decoder, ALLOWED).grace_seconds
    found, key = _one(which), new_key()
    carry_out(RotateKey(found.hash, keyed_hash(_pepper(), key), label(key), seconds * 1000))
    _show_secret(_one(found.hash), key, as_json=as_json)


def disable(which: str, *, as_json: bool) -> None:
    _change(which, KeyChange(disabled=True), "is disabled", as_json=as_json)


def enable(which: str, *, as_json: bool) -> None:
    _change(which, KeyChange(disabled=False), "is enabled", as_json=as_json)


def delete(which: str, *, as_json: bool) -> None:
    found = _one(which)
    carry_out(DeleteKey(found.hash))
    if as_json:
        print_json({"deleted": True})
    else:
        out.print(f"{found.row['name']} ({found.hash[:12]}) is deleted", highlight=False)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A key as people read it in a list."""
    left = "" if row["limit"] is None else f"{row['limit_remaining']:.9g} of {row['limit']:.9g}"
    return {
        "id": row["hash"][:12],
        "name": row["name"],
        "project": row["project"],
        "state": "disabled" if row["disabled"] else "on",
        "USD used": f"{row['usage']:.9g}",
        "USD left": f"{left} {row['limit_reset'] or ''}".strip() or None,
    }


def _body(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the body of a request."""
    given = said(**options)
    if _DATE.fullmatch(str(given.get("expires_at"))):
        given["expires_at"] += "T00:00:00"
    for field, names in (("rates", RATES), ("allowed", LISTS)):
        if inner := {name: given.pop(name) for name in names if name in given}:
            given[field] = inner
    return given


def _change(which: str, wanted: KeyChange, done: str, *, as_json: bool) -> None:
    found = _one(which)
    carry_out(_checked(partial(key_change_operation, found, wanted, routes())))
    row = told(_one(found.hash))
    if as_json:
        print_json({"data": row})
    else:
        out.print(f"{row['name']} ({row['hash'][:12]}) {done}", highlight=False)


def _checked(make: Callable[[], Any]) -> Any:  # noqa: ANN401  # one of two operations
    try:
        return make()
    except GatewayError as error:
        raise click.UsageError(error.message) from None


def _one(which: str) -> register.KeyAccount:
    found = read(partial(register.keys_like, which=which))
    if len(found) != 1:
        number = "no key" if not found else f"{len(found)} keys"
        raise click.UsageError(f"{number} by that id or name: {which!r}")
    return found[0]


async def _all(connection: AsyncConnection) -> list[register.KeyAccount]:
    found: list[register.KeyAccount] = []
    while page := await register.keys(connection, register.Which(), len(found)):
        found += page
    return found


def _pepper() -> bytes:
    return read_pepper(read_settings())


def _show_secret(key: register.KeyAccount, secret: str, *, as_json: bool) -> None:
    row = told(key)
    if as_json:
        print_json({"data": row, "key": secret})
    else:
        out.print(secret, highlight=False)
        err.print(f"{row['name']}: shown this once; id {row['hash'][:12]}")

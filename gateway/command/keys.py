"""`gateway keys`: the whole life of keys without a server, on its database."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.keys import label, new_key
from gateway.access.pepper import keyed_hash, read_pepper
from gateway.command.ledger import carry_out, read, routes, said, understood
from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json, print_table
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
from gateway.settings import read_settings

Command = Callable[..., Any]
SCOPES = click.Choice(["speak", "read", "manage"])
RATES = ("requests_per_minute", "characters_per_minute", "concurrent")
LISTS = ("models", "providers", "voices")
_options = [
    click.option("--limit", help="USD, or none for no limit."),
    click.option("--limit-reset", help="daily, weekly, monthly, or none for never."),
    click.option("--soft-limit", help="USD from which on tasks are downgraded, or none."),
    click.option("--characters-limit", help="Characters per reset, or none."),
    click.option("--requests-per-minute", help="A number, or none."),
    click.option("--characters-per-minute", help="A number, or none."),
    click.option("--concurrent", help="Requests at once, or none."),
    click.option("--scope", "scopes", multiple=True, type=SCOPES, help="May be repeated."),
    click.option("--expires", "expires_at", help="ISO 8601, UTC unless it says otherwise; none."),
    click.option("--model", "models", multiple=True, help="One it may use; none: all. Repeated."),
    click.option("--provider", "providers", multiple=True, help="The same of providers."),
    click.option("--voice", "voices", multiple=True, help="The same of voices."),
    click.option("--default-task", help="For requests that name no model, or none."),
    click.option("--project", help="The project that it counts on."),
]
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
which_argument = click.argument("which")


@click.group(
    help="Make, list, change, rotate, disable and delete API keys."
    + EXAMPLE
    + "gateway keys create reader --limit 5"
)
def keys() -> None:
    """Hold the key commands."""


def terms(command: Command) -> Command:
    """Every option of what a key may."""
    for option in reversed(_options):
        command = option(command)
    return command


@keys.command(
    help="Make a key; it is shown this once."
    + EXAMPLE
    + "gateway keys create reader --limit 5 --limit-reset monthly"
)
@click.argument("name")
@terms
@as_json_option
def create(name: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    wanted = understood(_body(options) | {"name": name}, new_key_decoder, ALLOWED)
    key = new_key()
    operation = _checked(partial(new_key_operation, key, _pepper(), wanted, routes()))
    carry_out(operation)
    _show_secret(_one(operation.hash), key, as_json=as_json)


@keys.command("list", help="List keys with what they used." + EXAMPLE + "gateway keys list")
@as_json_option
def list_keys(as_json: bool) -> None:  # noqa: FBT001
    rows = [told(each) for each in read(_all)]
    if as_json:
        print_json({"data": rows})
        return
    print_table("keys", [_shown(row) for row in rows])


@keys.command(
    help="Show one key, by its id's beginning or its name." + EXAMPLE + "gateway keys show reader"
)
@which_argument
@as_json_option
def show(which: str, as_json: bool) -> None:  # noqa: FBT001
    row = told(_one(which))
    if as_json:
        print_json({"data": row})
        return
    print_table(row["name"], [{"field": name, "value": value} for name, value in row.items()])


@keys.command(
    help="Change what is named; the rest stays."
    + EXAMPLE
    + "gateway keys change reader --limit 10 --requests-per-minute none"
)
@which_argument
@click.option("--name", help="A new name.")
@terms
@as_json_option
def change(which: str, name: str | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    body = _body(options) | ({} if name is None else {"name": name})
    if not body:
        raise click.UsageError("nothing to change: give at least one option")
    _change(which, understood(body, key_change_decoder, ALLOWED), "changed", as_json=as_json)


@keys.command(
    help="Give a key a new secret; the older ones work until the grace is over."
    + EXAMPLE
    + "gateway keys rotate reader --grace 86400"
)
@which_argument
@click.option("--grace", default="3600", show_default=True, help="Seconds, 0 to 30 days.")
@as_json_option
def rotate(which: str, grace: str, as_json: bool) -> None:  # noqa: FBT001
    seconds = understood(said(grace_seconds=grace), rotation_decoder, ALLOWED).grace_seconds
    found, key = _one(which), new_key()
    carry_out(RotateKey(found.hash, keyed_hash(_pepper(), key), label(key), seconds * 1000))
    _show_secret(_one(found.hash), key, as_json=as_json)


@keys.command(help="Disable a key." + EXAMPLE + "gateway keys disable reader")
@which_argument
@as_json_option
def disable(which: str, as_json: bool) -> None:  # noqa: FBT001
    _change(which, KeyChange(disabled=True), "is disabled", as_json=as_json)


@keys.command(help="Let a disabled key in again." + EXAMPLE + "gateway keys enable reader")
@which_argument
@as_json_option
def enable(which: str, as_json: bool) -> None:  # noqa: FBT001
    _change(which, KeyChange(disabled=False), "is enabled", as_json=as_json)


@keys.command(
    help="Delete a key for good; what it used stays on record."
    + EXAMPLE
    + "gateway keys delete reader"
)
@which_argument
@as_json_option
def delete(which: str, as_json: bool) -> None:  # noqa: FBT001
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

"""`gateway keys`: keys without a server, on the database that a server may be running on."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
from sqlalchemy import RowMapping

from gateway.access.keys import new_key
from gateway.access.pepper import read_pepper
from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json, print_table
from gateway.endpoints.keys import NewKey, new_key_operation, told
from gateway.errors import GatewayError
from gateway.metering import usage
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.operations import ChangeKey
from gateway.metering.writer import Writer
from gateway.migrating import migrate as migrate_database
from gateway.settings import read_settings


@click.group(help="Make, list and disable API keys.")
def keys() -> None:
    """Hold the key commands."""


@keys.command(
    help="Make a key; it is shown this once." + EXAMPLE + "gateway keys create reader --limit 5"
)
@click.argument("name")
@click.option("--limit", type=str, help="USD over the key's whole life; left out: no limit.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(["speak", "manage"]))
@click.option("--expires", type=click.DateTime(), help="UTC.")
@as_json_option
def create(
    name: str,
    limit: str | None,
    scopes: tuple[str, ...],
    expires: datetime | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    try:
        amount = Decimal(limit) if limit is not None else None
    except ArithmeticError:
        raise click.UsageError(f"--limit: {limit!r} is not a decimal number of USD") from None
    key = new_key()
    wanted = NewKey(name, amount, None, expires, scopes or ("speak",))  # type: ignore[arg-type]  # click.Choice gives the two
    row = asyncio.run(_create(key, wanted))
    if as_json:
        print_json({"data": row, "key": key})
    else:
        out.print(key, highlight=False)
        err.print(f"{row['name']}: shown this once; id {row['hash'][:12]}")


@keys.command("list", help="List keys with what they used." + EXAMPLE + "gateway keys list")
@as_json_option
def list_keys(as_json: bool) -> None:  # noqa: FBT001
    rows = [told(*each) for each in asyncio.run(_keys())]
    if as_json:
        print_json({"data": rows})
        return
    shown = ("name", "label", "disabled", "limit", "limit_remaining", "usage", "characters")
    print_table("keys", [{"id": row["hash"][:12]} | {n: row[n] for n in shown} for row in rows])


@keys.command(
    help="Disable a key, by its id's beginning or its name."
    + EXAMPLE
    + "gateway keys disable reader"
)
@click.argument("which")
@as_json_option
def disable(which: str, as_json: bool) -> None:  # noqa: FBT001
    row = asyncio.run(_disable(which))
    if as_json:
        print_json({"data": row})
    else:
        out.print(f"{row['name']} ({row['hash'][:12]}) is disabled")


async def _create(key: str, wanted: NewKey) -> dict[str, Any]:
    try:
        operation = new_key_operation(key, read_pepper(read_settings()), wanted)
    except GatewayError as error:
        raise click.UsageError(error.message) from None
    async with _ledger() as writer:
        await writer.submit(operation)
    return next(told(*each) for each in await _keys() if each[0]["hash"] == operation.hash)


async def _disable(which: str) -> dict[str, Any]:
    keys = await _keys()
    found = [each for each in keys if each[0]["hash"].startswith(which) or each[0]["name"] == which]
    if len(found) != 1:
        number = "no key" if not found else f"{len(found)} keys"
        raise click.UsageError(f"{number} by that id or name: {which!r}")
    row, spent = found[0]
    now = int(time.time() * 1000)
    async with _ledger() as writer:
        await writer.submit(
            ChangeKey(row["hash"], row["name"], True, now, row["expires_ms"], row["scopes"])
        )
    return told(row, spent) | {"disabled": True}


async def _keys() -> list[tuple[RowMapping, usage.Spent]]:
    """Every key, newest first, with what it spent lately."""
    settings = read_settings()
    migrate_database(settings)
    reading = open_reading(database_url(settings.database.url))
    rows: list[RowMapping] = []
    try:
        async with reading.connect() as connection:
            while page := await usage.keys(connection, offset=len(rows)):
                rows += page
            spent = await usage.spent_since(connection, [row["hash"] for row in rows])
    finally:
        await reading.dispose()
    return [(row, spent.get(row["hash"], usage.Spent())) for row in rows]


@asynccontextmanager
async def _ledger() -> AsyncGenerator[Writer]:
    """The ledger, beside a gateway that may be running on the same database."""
    settings = read_settings()
    migrate_database(settings)
    writer = Writer(open_writing(database_url(settings.database.url), checkpoints=False))
    try:
        yield writer
    except GatewayError as error:
        raise click.ClickException(error.message) from None
    finally:
        await writer.close()

"""The ledger from the command line, beside a gateway that may be running on the same database."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.app import read_routes
from gateway.configuration import read_settings
from gateway.endpoints.decoding import decode
from gateway.endpoints.state import Routes
from gateway.engine import expected_addresses
from gateway.errors import GatewayError
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.operations import Operation
from gateway.metering.writer import Writer
from gateway.migrating import migrate as migrate_database

Found = TypeVar("Found")
Shape = TypeVar("Shape")
NONE = "none"
"""How a limit, a list or a time is taken away: an option cannot be null."""
COUNTS = {
    "characters_limit",
    "soft_characters_limit",
    "requests_limit",
    "requests_per_minute",
    "characters_per_minute",
    "concurrent",
    "grace_seconds",
}
"""Options that are whole numbers; amounts of USD stay the text that they are."""


def carry_out(operation: Operation) -> None:
    """Have the ledger do it; what it refuses ends the command with its reason."""
    asyncio.run(_carry_out(operation))


def read(reader: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
    """What `reader` finds in the database, which is migrated first."""
    return asyncio.run(_read(reader))


def routes() -> Routes:
    """The catalogue and tasks that names are checked against."""
    settings = read_settings()
    return read_routes(settings, os.environ, expected_addresses(settings))


def understood(
    given: Mapping[str, object],
    decoder: msgspec.json.Decoder[Shape],
    allowed: Mapping[str, str] | None = None,
) -> Shape:
    """Options as the body that they would be over HTTP, checked as such."""
    try:
        return decode(msgspec.json.encode(given), decoder, allowed)
    except GatewayError as error:
        raise click.UsageError(error.message) from None


def said(**options: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever click gives
    """The options that were given, as JSON values; `none` is null."""
    given = {name: value for name, value in options.items() if value not in {None, ()}}
    return {name: _value(name, value) for name, value in given.items()}


def _value(name: str, option: str | tuple[str, ...]) -> object:
    if option in {NONE, (NONE,)}:
        return None
    is_number = name in COUNTS and re.fullmatch("[0-9]{1,18}", str(option))
    return int(str(option)) if is_number else option


async def _carry_out(operation: Operation) -> None:
    settings = read_settings()
    migrate_database(settings)
    writer = Writer(open_writing(database_url(settings.database.url), checkpoints=False))
    try:
        await writer.submit(operation)
    except GatewayError as error:
        raise click.ClickException(error.message) from None
    finally:
        await writer.close()


async def _read(reader: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
    settings = read_settings()
    migrate_database(settings)
    reading = open_reading(database_url(settings.database.url))
    try:
        async with reading.connect() as connection:
            return await reader(connection)
    finally:
        await reading.dispose()

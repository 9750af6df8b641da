"""The work of `gateway usage`: each function is the command of its name."""

import asyncio
from typing import Literal

import click
from sqlalchemy.exc import SQLAlchemyError

from gateway.command.printing import err, out, print_json, print_table
from gateway.configuration import read_settings
from gateway.endpoints.usage import Told, window_of
from gateway.errors import GatewayError
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.rollups import Rebuilt, rebuild
from gateway.metering.usage import Bucket, Group, series
from gateway.migrating import migrate


def show(
    start: str | None,
    to: str | None,
    bucket: Bucket,
    by: Group | None,
    form: Literal["table", "csv", "json"],
) -> None:
    try:
        told = asyncio.run(_read(start, to, bucket, by))
    except GatewayError as error:
        raise click.UsageError(f"--{error.message}") from None
    if form == "json":
        print_json(told.json())
    elif form == "csv":
        click.echo(told.csv(), nl=False)
    else:
        _print(told, bucket)


def rebuild_all(*, as_json: bool) -> None:
    err.print("counting every request anew; ends of requests wait until it is done", soft_wrap=True)
    rebuilt = _rebuild()
    if as_json:
        print_json({"rows": rebuilt.rows, "differed": rebuilt.differed})
    elif rebuilt.differed:
        told = f"{rebuilt.differed} rows differed from the records; {rebuilt.rows} are right now"
        out.print(told, soft_wrap=True)
    else:
        out.print(f"{rebuilt.rows} rows, none differed")


async def _read(start: str | None, to: str | None, bucket: Bucket, by: Group | None) -> Told:
    window = window_of(start, to, None)
    settings = read_settings()
    migrate(settings)
    reading = open_reading(database_url(settings.database.url))
    try:
        async with reading.connect() as connection:
            return Told.of(await series(connection, window, bucket, by), window, by)
    finally:
        await reading.dispose()


def _print(told: Told, bucket: Bucket) -> None:
    width = {"hour": 16, "day": 10, "month": 7}[bucket]
    rows = [row | {"start": row["start"][:width].replace("T", " ")} for row in told.rows]
    for row in rows:
        if "key_hash" in row:
            row["key_hash"] = row["key_hash"][:12]
    if rows:
        blank = dict.fromkeys(told.names, "")
        rows.append(blank | {"start": "total"} | told.total)
    whole = told.json()
    print_table(f"used by {bucket}, UTC, {whole['from'][:16]} to {whole['to'][:16]}", rows)


def _rebuild() -> Rebuilt:
    settings = read_settings()
    migrate(settings)
    engine = open_writing(database_url(settings.database.url), checkpoints=False)
    try:
        with engine.begin() as connection:
            return rebuild(connection)
    except SQLAlchemyError as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise click.ClickException(f"nothing was changed, try again: {reason}") from None
    finally:
        engine.dispose()

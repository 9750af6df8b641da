"""`gateway usage`: what was used, and the rollups that tell it, without a server."""

import asyncio
from typing import get_args

import click
from sqlalchemy.exc import SQLAlchemyError

from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json, print_table
from gateway.endpoints.usage import Told, window_of
from gateway.errors import GatewayError
from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.rollups import Rebuilt, rebuild
from gateway.metering.usage import Bucket, Group, series
from gateway.migrating import migrate
from gateway.settings import read_settings


@click.group(help="Show what was used, or count it anew." + EXAMPLE + "gateway usage show --by key")
def usage() -> None:
    """Hold the usage commands."""


@usage.command(
    help="Show what every key used, by whole UTC hours, days or months; what still runs is not in."
    + EXAMPLE
    + "gateway usage show --from 2026-11-01 --bucket day --by key"
)
@click.option("--from", "start", help="ISO date or time, UTC; left out: thirty days before --to.")
@click.option("--to", help="ISO date or time, UTC; left out: now.")
@click.option("--bucket", type=click.Choice(get_args(Bucket)), default="day", show_default=True)
@click.option("--by", type=click.Choice(get_args(Group)), help="Left out: all together.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@as_json_option
def show(  # noqa: PLR0913, PLR0917  # the command's options
    start: str | None,
    to: str | None,
    bucket: Bucket,
    by: Group | None,
    as_csv: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    if as_csv and as_json:
        raise click.UsageError("--csv and --json: give one of them")
    try:
        told = asyncio.run(_read(start, to, bucket, by))
    except GatewayError as error:
        raise click.UsageError(f"--{error.message}") from None
    if as_json:
        print_json(told.json())
    elif as_csv:
        click.echo(told.csv(), nl=False)
    else:
        _print(told, bucket)


@usage.command(
    "rebuild",
    help="Count the rollups anew from the records of requests, beside a gateway that may run."
    + EXAMPLE
    + "gateway usage rebuild",
)
@as_json_option
def rebuild_command(as_json: bool) -> None:  # noqa: FBT001
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

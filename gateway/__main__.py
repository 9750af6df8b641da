"""The `gateway` command: serve, say, check, migrate, keys."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.access.keys import new_key
from gateway.app import read_routes
from gateway.endpoints.body import FormatName
from gateway.endpoints.keys import NewKey, new_key_operation, told
from gateway.errors import GatewayError
from gateway.metering import usage
from gateway.metering.database import DatabaseError, database_url, open_reading, open_writing
from gateway.metering.operations import ChangeKey
from gateway.metering.writer import Writer
from gateway.migrating import migrate as migrate_database
from gateway.serve import serve as serve_gateway
from gateway.settings import Settings, SettingsError, read_settings
from providers import CatalogError

FORMATS = get_args(FormatName)
EXAMPLE = "\n\n\b\nExample:\n  "
out, err = Console(), Console(stderr=True)


def main() -> None:
    """Run the command; what an operator can mend is told in one line, exit code 2."""
    try:
        gateway(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except (SettingsError, CatalogError, DatabaseError) as error:
        err.print(f"gateway: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)


@click.group(help="Voxroute: one endpoint for speech, every voice behind it.")
@click.version_option(package_name="voxroute")
def gateway() -> None:
    """Hold the subcommands."""


def _as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@gateway.command(
    help="Start the gateway with its embedded voice." + EXAMPLE + "gateway serve --port 8000"
)
@click.option("--host", help="Address to listen on; GATEWAY_HOST.")
@click.option("--port", type=int, help="Port to listen on; GATEWAY_PORT.")
@click.option("--no-migrate", is_flag=True, help="Refuse a database that is not up to date.")
def serve(host: str | None, port: int | None, no_migrate: bool) -> None:  # noqa: FBT001
    given = {"GATEWAY_HOST": host, "GATEWAY_PORT": str(port) if port is not None else None}
    environ = dict(os.environ) | {name: value for name, value in given.items() if value}
    serve_gateway(read_settings(environ), environ, no_migrate=no_migrate)


@gateway.command(
    help="Check settings, catalogue and tasks without starting anything."
    + EXAMPLE
    + "gateway check --json"
)
@_as_json
def check(as_json: bool) -> None:  # noqa: FBT001
    settings = read_settings()
    local = settings.embedded_voice.provider if settings.embedded_voice.enabled else ""
    routes = read_routes(settings, os.environ, {local: "http://127.0.0.1"})
    catalog = routes.catalog
    rows = [
        {
            "provider": name,
            "wire": row.wire,
            "models": sorted(
                m for m, o in catalog.models.items() if name in {e.provider for e in o}
            ),
            "state": f"off: {row.off}" if row.off else "on",
        }
        for name, row in catalog.providers.items()
    ]
    if as_json:
        _print_json({"config": str(settings.config), "providers": rows})
        return
    _print_table(f"{settings.config}: in order", rows)


@gateway.command(help="Bring the database to the newest schema." + EXAMPLE + "gateway migrate")
@_as_json
def migrate(as_json: bool) -> None:  # noqa: FBT001
    before, after = migrate_database(read_settings())
    if as_json:
        _print_json({"before": before, "after": after})
    else:
        out.print(f"database: {before or 'empty'} -> {after}")


@gateway.command(
    help="Say something through a running gateway, into a file; its suffix chooses the format."
    + EXAMPLE
    + 'gateway say "Hello there" -o hello.wav'
)
@click.argument("text")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--model", default="auto", show_default=True, help="Model, task or alias.")
@click.option("--voice", help="Voice; left out, the offer's own.")
@click.option("--speed", type=click.FloatRange(0.25, 4.0), help="1.0 is normal.")
@click.option("--instructions", help="How to say it, where the offer listens to that.")
@click.option("--url", envvar="GATEWAY_URL", help="The gateway; default the configured address.")
@click.option("--key", envvar="GATEWAY_KEY", help="API key; default data/admin.key.")
@_as_json
def say(  # noqa: PLR0913, PLR0917  # the command's options
    text: str,
    output: Path,
    model: str,
    voice: str | None,
    speed: float | None,
    instructions: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    settings = read_settings()
    suffix = output.suffix.removeprefix(".").lower()
    form = {"ogg": "opus", "raw": "pcm"}.get(suffix, suffix)
    if form not in FORMATS:
        raise click.UsageError(f"-o: the suffix must be one of {', '.join(FORMATS)}")
    url = (url or f"http://{settings.server.host}:{settings.server.port}").rstrip("/")
    body: dict[str, object] = {"model": model, "input": text, "response_format": form}
    body |= {"voice": voice, "speed": speed, "instructions": instructions}
    request = httpx.Request(
        "POST",
        f"{url}/v1/audio/speech",
        json={name: value for name, value in body.items() if value is not None},
        headers={"authorization": f"Bearer {key or _own_key(settings)}"},
        extensions={"timeout": httpx.Timeout(5, read=60).as_dict()},
    )
    told = _receive(request, output, url)
    if as_json:
        _print_json(told)
    else:
        out.print(f"{output}: {told['bytes']} bytes, by {told['provider']} as {told['voice']}")


def _receive(request: httpx.Request, output: Path, url: str) -> dict[str, Any]:
    """Stream the answer into a file beside its place; only a whole clip takes that place."""
    partial = output.with_name(f".{output.name}.part")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    try:
        with httpx.Client() as client, Progress(*columns, console=err, transient=True) as progress:
            bar = progress.add_task("waiting for the first audio", total=None)
            response = client.send(request, stream=True)
            if not response.is_success:
                response.read()
                raise click.ClickException(_message(response))
            progress.update(bar, description="speaking")
            with partial.open("wb") as file:
                for chunk in response.iter_raw():
                    progress.advance(bar, file.write(chunk))
            partial.replace(output)
    except httpx.ConnectError:
        wrong = f"no gateway answers at {url}; start one with `gateway serve`"
        raise click.ClickException(wrong) from None
    except httpx.HTTPError:
        raise click.ClickException("the audio broke off; nothing was kept") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    names = ("provider", "model", "voice", "generation-id")
    told = {name.replace("-", "_"): response.headers.get(f"x-{name}") for name in names}
    return {"file": str(output), "bytes": output.stat().st_size, **told}


@gateway.group(help="Make, list and disable API keys.")
def keys() -> None:
    """Hold the key commands."""


@keys.command(
    help="Make a key; it is shown this once." + EXAMPLE + "gateway keys create reader --limit 5"
)
@click.argument("name")
@click.option("--limit", type=str, help="USD over the key's whole life; left out: no limit.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(["speak", "manage"]))
@click.option("--expires", type=click.DateTime(), help="UTC.")
@_as_json
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
        _print_json({"data": row, "key": key})
    else:
        out.print(key, highlight=False)
        err.print(f"{row['name']}: shown this once; id {row['hash'][:12]}")


@keys.command("list", help="List keys with what they used." + EXAMPLE + "gateway keys list")
@_as_json
def list_keys(as_json: bool) -> None:  # noqa: FBT001
    rows = asyncio.run(_list())
    if as_json:
        _print_json({"data": rows})
        return
    shown = ("name", "label", "disabled", "limit", "limit_remaining", "usage", "characters")
    _print_table("keys", [{"id": row["hash"][:12]} | {n: row[n] for n in shown} for row in rows])


@keys.command(
    help="Disable a key, by its id's beginning or its name."
    + EXAMPLE
    + "gateway keys disable reader"
)
@click.argument("which")
@_as_json
def disable(which: str, as_json: bool) -> None:  # noqa: FBT001
    row = asyncio.run(_disable(which))
    if as_json:
        _print_json({"data": row})
    else:
        out.print(f"{row['name']} ({row['hash'][:12]}) is disabled")


async def _create(key: str, wanted: NewKey) -> dict[str, Any]:
    try:
        operation = new_key_operation(key, wanted)
    except GatewayError as error:
        raise click.UsageError(error.message) from None
    async with _ledger() as writer:
        await writer.submit(operation)
    return next(row for row in await _list() if row["hash"] == operation.hash)


async def _list() -> list[dict[str, Any]]:
    reading = open_reading(database_url(read_settings().database.url))
    try:
        async with reading.connect() as connection:
            rows = await usage.keys(connection, limit=1000)
            spent = await usage.spent_since(connection, [row["hash"] for row in rows])
    finally:
        await reading.dispose()
    return [told(row, spent.get(row["hash"], usage.Spent())) for row in rows]


async def _disable(which: str) -> dict[str, Any]:
    found = [row for row in await _list() if row["hash"].startswith(which) or row["name"] == which]
    if len(found) != 1:
        told = "no key" if not found else f"{len(found)} keys"
        raise click.UsageError(f"{told} by that id or name: {which!r}")
    row = found[0]
    limit = None if row["limit"] is None else int(Decimal(str(row["limit"])) * 10**9)
    now = int(datetime.now().timestamp() * 1000)  # noqa: DTZ005  # epoch time has no zone
    async with _ledger() as writer:
        await writer.submit(ChangeKey(row["hash"], row["name"], True, now, limit))
    return row | {"disabled": True}


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


def _own_key(settings: Settings) -> str:
    file = settings.data / "admin.key"
    if settings.admin_key:
        return settings.admin_key
    if not file.exists():
        raise click.UsageError(f"no API key: give --key or GATEWAY_KEY, or have {file}")
    return file.read_text(encoding="utf-8").strip()


def _message(response: httpx.Response) -> str:
    try:
        message: str = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {response.status_code}"
    return message


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ("nothing here yet",):
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else "-" if value is None else str(value)


if __name__ == "__main__":
    main()

"""`gateway serve`, `check` and `migrate`: what an operator does."""

import asyncio
import os
import sys
from dataclasses import asdict

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.app import read_routes
from gateway.command.live import Checked, checks_of, run, warning
from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json, print_table
from gateway.engine import expected_addresses
from gateway.migrating import migrate as migrate_database
from gateway.serve import serve as serve_gateway
from gateway.settings import Settings, read_settings
from providers import Catalog


@click.command(
    help="Start the gateway with its embedded voice." + EXAMPLE + "gateway serve --port 8000"
)
@click.option("--host", help="Address to listen on; GATEWAY_HOST.")
@click.option("--port", type=int, help="Port to listen on; GATEWAY_PORT.")
@click.option("--no-migrate", is_flag=True, help="Refuse a database that is not up to date.")
def serve(host: str | None, port: int | None, no_migrate: bool) -> None:  # noqa: FBT001
    given = {"GATEWAY_HOST": host, "GATEWAY_PORT": str(port) if port is not None else None}
    environ = dict(os.environ) | {name: value for name, value in given.items() if value}
    serve_gateway(read_settings(environ), environ, no_migrate=no_migrate)


@click.command(
    help="Check settings, catalogue and tasks without starting anything. With --live, every "
    "credential of every provider that is on says one word at its cheapest offer, which costs "
    "that word; exit status 1 tells that one failed." + EXAMPLE + "gateway check --live --json"
)
@click.option("--live", is_flag=True, help="Try each credential; may cost a little.")
@as_json_option
def check(live: bool, as_json: bool) -> None:  # noqa: FBT001
    settings = read_settings()
    # What the gateway starts itself has no address as long as it does not run.
    addresses = {} if live else expected_addresses(settings)
    catalog = read_routes(settings, os.environ, addresses).catalog
    if live:
        _check_live(settings, catalog, as_json=as_json)
    else:
        _check_rows(settings, catalog, as_json=as_json)


def _check_rows(settings: Settings, catalog: Catalog, *, as_json: bool) -> None:
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
        print_json({"config": str(settings.config), "providers": rows})
        return
    print_table(f"{settings.config}: in order", rows)


def _check_live(settings: Settings, catalog: Catalog, *, as_json: bool) -> None:
    checks = checks_of(catalog)
    err.print(warning(checks), highlight=False, soft_wrap=True)
    columns = (TextColumn("trying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("trying", total=len(checks))
        checked = asyncio.run(run(checks, lambda: progress.advance(bar)))
    if as_json:
        print_json({"config": str(settings.config), "checks": [asdict(each) for each in checked]})
    else:
        print_table(f"{settings.config}: tried", [_row(each) for each in checked])
    if not all(each.ok for each in checked):
        sys.exit(1)


def _row(checked: Checked) -> dict[str, object]:
    return {
        "provider": checked.provider,
        "model": checked.model,
        "credential": checked.credential,
        "result": "ok" if checked.ok else f"{checked.error_type}: {checked.reason}",
        "first audio, ms": checked.first_audio_ms,
        "bytes": checked.bytes,
        "billed units": checked.billed_units,
        "cost, USD": checked.cost,
    }


@click.command(help="Bring the database to the newest schema." + EXAMPLE + "gateway migrate")
@as_json_option
def migrate(as_json: bool) -> None:  # noqa: FBT001
    before, after = migrate_database(read_settings())
    if as_json:
        print_json({"before": before, "after": after})
    else:
        out.print(f"database: {before or 'empty'} -> {after}")

"""`gateway serve`, `check` and `migrate`: what an operator does."""

import os

import click

from gateway.app import read_routes
from gateway.command.printing import EXAMPLE, as_json_option, out, print_json, print_table
from gateway.migrating import migrate as migrate_database
from gateway.serve import serve as serve_gateway
from gateway.settings import read_settings


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
    help="Check settings, catalogue and tasks without starting anything."
    + EXAMPLE
    + "gateway check --json"
)
@as_json_option
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
        print_json({"config": str(settings.config), "providers": rows})
        return
    print_table(f"{settings.config}: in order", rows)


@click.command(help="Bring the database to the newest schema." + EXAMPLE + "gateway migrate")
@as_json_option
def migrate(as_json: bool) -> None:  # noqa: FBT001
    before, after = migrate_database(read_settings())
    if as_json:
        print_json({"before": before, "after": after})
    else:
        out.print(f"database: {before or 'empty'} -> {after}")

"""`gateway serve`, `check` and `migrate`: what an operator does."""

import os

import click

from gateway.command.printing import EXAMPLE, as_json_option, out, print_json
from gateway.configuration import read_settings


@click.command(
    help="Start the gateway with its embedded voice." + EXAMPLE + "gateway serve --port 8000"
)
@click.option("--host", help="Address to listen on; GATEWAY_HOST.")
@click.option("--port", type=int, help="Port to listen on; GATEWAY_PORT.")
@click.option("--no-migrate", is_flag=True, help="Refuse a database that is not up to date.")
def serve(host: str | None, port: int | None, no_migrate: bool) -> None:  # noqa: FBT001
    given = {"GATEWAY_HOST": host, "GATEWAY_PORT": str(port) if port is not None else None}
    environ = dict(os.environ) | {name: value for name, value in given.items() if value}
    from gateway.serve import serve as serve_gateway

    serve_gateway(read_settings(environ), environ, no_migrate=no_migrate)


@click.command(
    help="Check settings, catalogue and tasks without starting anything. With --live, every "
    "credential of every provider that is on says one word at its cheapest offer, which costs "
    "that word; exit status 1 tells that one failed." + EXAMPLE + "gateway check --live --json"
)
@click.option("--live", is_flag=True, help="Try each credential; may cost a little.")
@as_json_option
def check(live: bool, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import check as work

    work.check(live=live, as_json=as_json)


@click.command(help="Bring the database to the newest schema." + EXAMPLE + "gateway migrate")
@as_json_option
def migrate(as_json: bool) -> None:  # noqa: FBT001
    from gateway.migrating import migrate as migrate_database

    before, after = migrate_database(read_settings())
    if as_json:
        print_json({"before": before, "after": after})
    else:
        out.print(f"database: {before or 'empty'} -> {after}")

"""`gateway budgets`: what organisations, projects, keys, providers and the gateway may use."""

from typing import Any

import click

from gateway.command.printing import EXAMPLE, as_json_option
from gateway.metering.scopes import PERIODS


@click.group(
    help="Budgets of organisations, projects, keys, providers and the whole gateway."
    + EXAMPLE
    + "gateway budgets list"
)
def budgets() -> None:
    """Hold the budget commands."""


@budgets.command(
    "list",
    help="List budgets with what their running periods have used."
    + EXAMPLE
    + "gateway budgets list --scope project:default",
)
@click.option("--scope", help="Of one scope only.")
@as_json_option
def list_budgets(scope: str | None, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import budgets as work

    work.list_budgets(scope, as_json=as_json)


@budgets.command(
    "set",
    help="Set a scope's budget of one period, in place of what it had."
    + EXAMPLE
    + "gateway budgets set project:default month --limit 50 --soft-limit 40",
)
@click.argument("scope")
@click.argument("period", type=click.Choice(PERIODS))
@click.option("--limit", help="USD.")
@click.option("--soft-limit", help="USD from which on tasks are downgraded.")
@click.option("--characters-limit", help="Characters.")
@click.option("--soft-characters-limit", help="Characters from which on tasks are downgraded.")
@click.option("--requests-limit", help="Requests.")
@click.option("--concurrent", help="Requests at once; with period total.")
@as_json_option
def set_budget(scope: str, period: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    from gateway.command.work import budgets as work

    work.set_budget(scope, period, options, as_json=as_json)


@budgets.command(
    help="Take a budget's limits away; what it counted goes on being counted."
    + EXAMPLE
    + "gateway budgets remove project:default month"
)
@click.argument("scope")
@click.argument("period", type=click.Choice(PERIODS))
@as_json_option
def remove(scope: str, period: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import budgets as work

    work.remove(scope, period, as_json=as_json)

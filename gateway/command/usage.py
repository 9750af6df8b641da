"""`gateway usage`: what was used, and the rollups that tell it, without a server."""

from typing import Any

import click

from gateway.command.printing import EXAMPLE, as_json_option

BUCKETS = ("hour", "day", "month")
GROUPS = ("key", "model", "provider", "app", "task", "project")


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
@click.option("--bucket", type=click.Choice(BUCKETS), default="day", show_default=True)
@click.option("--by", type=click.Choice(GROUPS), help="Left out: all together.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@as_json_option
def show(
    as_csv: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **asked: Any,  # noqa: ANN401  # click's
) -> None:
    if as_csv and as_json:
        raise click.UsageError("--csv and --json: give one of them")
    from gateway.command.work import usage as work

    work.show(**asked, form="json" if as_json else "csv" if as_csv else "table")


@usage.command(
    "rebuild",
    help="Count the rollups anew from the records of requests, beside a gateway that may run."
    + EXAMPLE
    + "gateway usage rebuild",
)
@as_json_option
def rebuild_command(as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import usage as work

    work.rebuild_all(as_json=as_json)

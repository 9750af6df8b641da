"""`gateway keys`: the whole life of keys without a server, on its database."""

from collections.abc import Callable
from typing import Any

import click

from gateway.command.printing import EXAMPLE, as_json_option

Command = Callable[..., Any]
SCOPES = click.Choice(["speak", "read", "manage"])
_options = [
    click.option("--limit", help="USD, or none for no limit."),
    click.option("--limit-reset", help="daily, weekly, monthly, or none for never."),
    click.option("--soft-limit", help="USD from which on tasks are downgraded, or none."),
    click.option("--characters-limit", help="Characters per reset, or none."),
    click.option("--requests-per-minute", help="A number, or none."),
    click.option("--characters-per-minute", help="A number, or none."),
    click.option("--concurrent", help="Requests at once, or none."),
    click.option("--scope", "scopes", multiple=True, type=SCOPES, help="May be repeated."),
    click.option("--expires", "expires_at", help="ISO 8601, UTC unless it says otherwise; none."),
    click.option("--model", "models", multiple=True, help="One it may use; none: all. Repeated."),
    click.option("--provider", "providers", multiple=True, help="The same of providers."),
    click.option("--voice", "voices", multiple=True, help="The same of voices."),
    click.option("--default-task", help="For requests that name no model, or none."),
    click.option("--project", help="The project that it counts on."),
]
which_argument = click.argument("which")


@click.group(
    help="Make, list, change, rotate, disable and delete API keys."
    + EXAMPLE
    + "gateway keys create reader --limit 5"
)
def keys() -> None:
    """Hold the key commands."""


def terms(command: Command) -> Command:
    """Every option of what a key may."""
    for option in reversed(_options):
        command = option(command)
    return command


@keys.command(
    help="Make a key; it is shown this once."
    + EXAMPLE
    + "gateway keys create reader --limit 5 --limit-reset monthly"
)
@click.argument("name")
@terms
@as_json_option
def create(name: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    from gateway.command.work import keys as work

    work.create(name, options, as_json=as_json)


@keys.command("list", help="List keys with what they used." + EXAMPLE + "gateway keys list")
@as_json_option
def list_keys(as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.list_keys(as_json=as_json)


@keys.command(
    help="Show one key, by its id's beginning or its name." + EXAMPLE + "gateway keys show reader"
)
@which_argument
@as_json_option
def show(which: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.show(which, as_json=as_json)


@keys.command(
    help="Change what is named; the rest stays."
    + EXAMPLE
    + "gateway keys change reader --limit 10 --requests-per-minute none"
)
@which_argument
@click.option("--name", help="A new name.")
@terms
@as_json_option
def change(which: str, name: str | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    from gateway.command.work import keys as work

    work.change(which, name, options, as_json=as_json)


@keys.command(
    help="Give a key a new secret; the older ones work until the grace is over."
    + EXAMPLE
    + "gateway keys rotate reader --grace 86400"
)
@which_argument
@click.option("--grace", default="3600", show_default=True, help="Seconds, 0 to 30 days.")
@as_json_option
def rotate(which: str, grace: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.rotate(which, grace, as_json=as_json)


@keys.command(help="Disable a key." + EXAMPLE + "gateway keys disable reader")
@which_argument
@as_json_option
def disable(which: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.disable(which, as_json=as_json)


@keys.command(help="Let a disabled key in again." + EXAMPLE + "gateway keys enable reader")
@which_argument
@as_json_option
def enable(which: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.enable(which, as_json=as_json)


@keys.command(
    help="Delete a key for good; what it used stays on record."
    + EXAMPLE
    + "gateway keys delete reader"
)
@which_argument
@as_json_option
def delete(which: str, as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import keys as work

    work.delete(which, as_json=as_json)

"""The `gateway` command: what serves, what speaks, what looks, and what an operator does."""

import sys

import click

from gateway.command.budgets import budgets
from gateway.command.catalogue import models, providers, voices
from gateway.command.completions import PROGRAM, VARIABLE, completions
from gateway.command.generations import generations
from gateway.command.keys import keys
from gateway.command.operate import check, migrate, serve
from gateway.command.plan import plan
from gateway.command.printing import EXAMPLE, err
from gateway.command.projects import projects
from gateway.command.say import say
from gateway.command.usage import usage
from gateway.settings import SettingsError


def main() -> None:
    """Run the command; what an operator can mend is told in one line, exit code 2."""
    try:
        gateway(prog_name=PROGRAM, complete_var=VARIABLE, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except Exception as error:
        if not isinstance(error, _mendable()):
            raise
        err.print(f"gateway: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)


def _mendable() -> tuple[type[Exception], ...]:
    from gateway.metering.database import DatabaseError  # noqa: PLC0415  # once something is wrong
    from providers import CatalogError  # noqa: PLC0415

    return SettingsError, CatalogError, DatabaseError


@click.group(
    help="Voxroute: one endpoint for speech, every voice behind it."
    + EXAMPLE
    + 'gateway serve\n  gateway say "Hello there" -o hello.wav\n  gateway generations list'
)
@click.version_option(package_name="voxroute")
def gateway() -> None:
    """Hold the subcommands."""


COMMANDS = (
    serve,
    say,
    plan,
    generations,
    usage,
    models,
    voices,
    providers,
    keys,
    budgets,
    projects,
    check,
    migrate,
    completions,
)
for command in COMMANDS:
    gateway.add_command(command)


if __name__ == "__main__":
    main()

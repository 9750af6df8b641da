"""The `gateway` command: serve, say, check, migrate, keys, budgets, projects, usage."""

import sys

import click

from gateway.command.budgets import budgets
from gateway.command.keys import keys
from gateway.command.operate import check, migrate, serve
from gateway.command.printing import err
from gateway.command.projects import projects
from gateway.command.say import say
from gateway.command.usage import usage
from gateway.metering.database import DatabaseError
from gateway.settings import SettingsError
from providers import CatalogError


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


for command in (serve, say, check, migrate, keys, budgets, projects, usage):
    gateway.add_command(command)


if __name__ == "__main__":
    main()

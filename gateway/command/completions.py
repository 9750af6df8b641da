"""`gateway completions`: the script with which a shell completes this command's words."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from gateway.command.printing import EXAMPLE

PROGRAM = "gateway"
VARIABLE = "_GATEWAY_COMPLETE"
SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command(
    help="Print what a shell needs to complete this command. It calls `gateway`, which must be on "
    "the PATH."
    + EXAMPLE
    + "gateway completions bash > ~/.local/share/bash-completion/completions/gateway\n"
    "  gateway completions zsh > ~/.zfunc/_gateway      # with ~/.zfunc in fpath before compinit\n"
    "  gateway completions fish > ~/.config/fish/completions/gateway.fish"
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completions(context: click.Context, shell: str) -> None:
    script = SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE)
    # Not source(): it asks a bash for its version, which need not be on this machine.
    click.echo(script.source_template % script.source_vars())

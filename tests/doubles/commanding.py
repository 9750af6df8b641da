"""The command in the tests' own process, which has loaded everything: a second less each time."""

import json
from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner, Result

from gateway.__main__ import gateway as program


def called(environ: Mapping[str, str], *words: str, **variables: str) -> Result:
    """What it printed, and its exit status, with the gateway's variables alone."""
    ours = {name: value for name, value in environ.items() if name.startswith("GATEWAY")}
    return CliRunner().invoke(program, words, env=ours | variables)


def done(environ: Mapping[str, str], *words: str) -> dict[str, Any]:
    """What a command that must succeed tells as JSON."""
    ended = called(environ, *words, "--json")
    assert ended.exit_code == 0, ended.output
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def refused(environ: Mapping[str, str], *words: str) -> str:
    """What a command that must not succeed says, in one line."""
    ended = called(environ, *words)
    assert isinstance(ended.exception, SystemExit), ended.exception
    assert ended.exit_code in {1, 2}, ended.output
    return " ".join(ended.stderr.split())

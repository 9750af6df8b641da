"""How commands speak: tables for people, JSON for programs, progress and errors on stderr."""

import json
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

EXAMPLE = "\n\n\b\nExample:\n  "
out, err = Console(), Console(stderr=True)


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ("nothing here yet",):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return escape(", ".join(value) if isinstance(value, list) else str(value))

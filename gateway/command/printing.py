"""How commands speak: tables for people, JSON for programs, progress and errors on stderr."""

import json
from collections.abc import Callable, Collection
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

EXAMPLE = "\n\n\b\nExample:\n  "
_WIDEST = 100_000
out, err = Console(), Console(stderr=True)


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def print_table(title: str, rows: list[dict[str, Any]], unbroken: Collection[str] = ()) -> None:
    """A line for each row; `unbroken` names the columns that are never folded."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ("nothing here yet",):
        table.add_column(name, overflow="fold", no_wrap=name in unbroken)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console = out if out.is_terminal else _as_wide_as(table)
    console.print(table)


def _as_wide_as(table: Table) -> Console:
    """Where nobody looks, a row is a line, however long, so that other programs can read it."""
    wanted = Measurement.get(out, out.options.update(width=_WIDEST), table).maximum
    return Console(width=wanted)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return escape(", ".join(value) if isinstance(value, list) else str(value))

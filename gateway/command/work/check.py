"""The work of `gateway check`: the rows as they are, or each credential tried."""

import asyncio
import os
import sys
from dataclasses import asdict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.app import read_routes
from gateway.command.printing import err, print_json, print_table
from gateway.command.work.live import Checked, checks_of, run, warning
from gateway.configuration import read_settings
from gateway.engine import expected_addresses
from gateway.settings import Settings
from providers import Catalog


def check(*, live: bool, as_json: bool) -> None:
    settings = read_settings()
    # What the gateway starts itself has no address as long as it does not run.
    addresses = {} if live else expected_addresses(settings)
    catalog = read_routes(settings, os.environ, addresses).catalog
    if live:
        _check_live(settings, catalog, as_json=as_json)
    else:
        _check_rows(settings, catalog, as_json=as_json)


def _check_rows(settings: Settings, catalog: Catalog, *, as_json: bool) -> None:
    rows = [
        {
            "provider": name,
            "wire": row.wire,
            "models": sorted(
                m for m, o in catalog.models.items() if name in {e.provider for e in o}
            ),
            "state": f"off: {row.off}" if row.off else "on",
        }
        for name, row in catalog.providers.items()
    ]
    if as_json:
        print_json({"config": str(settings.config), "providers": rows})
        return
    print_table(f"{settings.config}: in order", rows)


def _check_live(settings: Settings, catalog: Catalog, *, as_json: bool) -> None:
    checks = checks_of(catalog)
    err.print(warning(checks), highlight=False, soft_wrap=True)
    columns = (TextColumn("trying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("trying", total=len(checks))
        checked = asyncio.run(run(checks, lambda: progress.advance(bar)))
    if as_json:
        print_json({"config": str(settings.config), "checks": [asdict(each) for each in checked]})
    else:
        print_table(f"{settings.config}: tried", [_row(each) for each in checked])
    if not all(each.ok for each in checked):
        sys.exit(1)


def _row(checked: Checked) -> dict[str, object]:
    return {
        "provider": checked.provider,
        "model": checked.model,
        "credential": checked.credential,
        "result": "ok" if checked.ok else f"{checked.error_type}: {checked.reason}",
        "first audio, ms": checked.first_audio_ms,
        "bytes": checked.bytes,
        "billed units": checked.billed_units,
        "cost, USD": checked.cost,
    }

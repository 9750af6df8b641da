"""`gateway generations`: the records of requests, from a running gateway."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from gateway.command.client import Place, client_options, segment
from gateway.command.download import receive
from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json, print_table
from gateway.command.telling import amount, milliseconds, tree_of

PAGE = 100
"""Records in one answer, at most."""
STATUSES = ("held", "settled", "voided", "unknown")
Record = dict[str, Any]


@click.group(
    help="Records of requests: what was asked, who was tried, what it cost."
    + EXAMPLE
    + "gateway generations list --failed"
)
def generations() -> None:
    """Hold the commands about requests."""


@generations.command(
    "list",
    help="List requests, newest first; a speaking key sees its own. Filters look through the "
    "newest --among records."
    + EXAMPLE
    + "gateway generations list --failed\n  gateway generations list --model local/espeak-ng -n 5",
)
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--status", type=click.Choice(STATUSES), help="How it ended.")
@click.option("--failed", is_flag=True, help="Only what ended in an error.")
@click.option("--model", help="Of one model, as asked for or as it spoke.")
@click.option("--provider", help="Of one provider: who spoke, or was tried.")
@click.option("--of-key", help="Of one key, by its hash or how it begins.")
@click.option("--after", metavar="ID", help="Only older ones than this.")
@click.option(
    "--among", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Records."
)
@client_options
@as_json_option
def list_generations(  # noqa: PLR0913, PLR0917  # the command's options
    limit: int,
    after: str | None,
    among: int,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
    **wanted: Any,  # noqa: ANN401  # click's
) -> None:
    place = Place.of(url, key)
    columns = (SpinnerColumn(), TextColumn("looking through records"), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("looking", total=among)
        records = progress.track(_records(place, after, limit, among), task_id=bar, total=among)
        found = list(islice((each for each in records if fits(each, **wanted)), limit))
    if as_json:
        print_json({"data": found})
    else:
        print_table("requests, newest first", [_row(each) for each in found], ("id",))


@generations.command(
    help="Show one request: its plan, its attempts with their timings, and what it cost."
    + EXAMPLE
    + "gateway generations show gen-tts-1795387066236-e93fe28afdb7ecf82dea"
)
@click.argument("id_", metavar="ID")
@click.option(
    "--audio", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Fetch its audio, too."
)
@client_options
@as_json_option
def show(
    id_: str,
    audio: Path | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    place = Place.of(url, key)
    record: Record = place.ask("/api/v1/generation", id=id_)["data"]
    if as_json:
        print_json({"data": record})
    else:
        out.print(tree_of(record))
    if audio is not None:
        receive(place, place.request("GET", f"/v1/generations/{segment(id_)}/audio"), audio)
        err.print(f"{audio}: {audio.stat().st_size} bytes", highlight=False, soft_wrap=True)


def fits(  # noqa: PLR0913  # one for each filter
    record: Record,
    *,
    status: str | None = None,
    failed: bool = False,
    model: str | None = None,
    provider: str | None = None,
    of_key: str | None = None,
) -> bool:
    """Whether a record is among those that were asked for."""
    tried = {each["provider_name"] for each in record["provider_responses"]}
    return (
        status in {None, record["status"]}
        and (not failed or record["error_type"] is not None)
        and model in {None, record["model"], record["requested_model"]}
        and (provider is None or provider in tried | {record["provider_name"]})
        and str(record["key"]).startswith(of_key or "")
    )


def _records(place: Place, after: str | None, limit: int, among: int) -> Iterator[Record]:
    """The newest records, page by page, no more of them than are looked at."""
    size = min(PAGE, max(limit, 20), among)
    while among > 0:
        page = place.ask("/api/v1/generations", after=after, limit=min(size, among))
        yield from page["data"]
        among -= len(page["data"])
        if not page["has_more"] or not page["data"]:
            return
        after, size = page["data"][-1]["id"], PAGE


def _row(record: Record) -> dict[str, object]:
    return {
        "time, UTC": str(record["created_at"])[:19].replace("T", " "),
        "id": record["id"],
        "model": record["model"],
        "provider": record["provider_name"],
        "status": record["error_type"] or record["status"],
        "characters": record["input_characters"],
        "cost": amount(record["cost"]),
        "first audio": milliseconds(record["first_audio_ms"]),
        "whole": milliseconds(record["duration_ms"]),
    }

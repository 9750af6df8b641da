"""`gateway projects`: the projects and organisations that keys count on."""

from typing import Any

import click
import msgspec

from gateway.command.ledger import carry_out, read, said, understood
from gateway.command.printing import EXAMPLE, as_json_option, out, print_json, print_table
from gateway.endpoints.projects import (
    ALLOWED,
    change_decoder,
    creation,
    organisation_decoder,
    project_decoder,
    told,
    told_project,
)
from gateway.metering import register
from gateway.metering.operations import ChangeProject, CreateOrganisation

_text_option = click.option(
    "--keep-text-hours", type=int, help="How long requests' text is kept; 0: not."
)
_audio_option = click.option(
    "--keep-audio-hours", type=int, help="How long requests' audio is kept; 0: not."
)


@click.group(
    help="Projects, and the organisations that they are of."
    + EXAMPLE
    + "gateway projects create audiobooks"
)
def projects() -> None:
    """Hold the project commands."""


@projects.command("list", help="List projects." + EXAMPLE + "gateway projects list")
@as_json_option
def list_projects(as_json: bool) -> None:  # noqa: FBT001
    rows = [told(row) for row in read(register.projects)]
    if as_json:
        print_json({"data": rows})
    else:
        print_table("projects", rows)


@projects.command(
    help="Make a project; its organisation is made with it where it is new."
    + EXAMPLE
    + "gateway projects create audiobooks --organisation acme"
)
@click.argument("id_", metavar="ID")
@click.option("--name", help="Left out: the id.")
@click.option("--organisation", default="default", show_default=True)
@_text_option
@_audio_option
@as_json_option
def create(id_: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    wanted = understood(said(**options) | {"id": id_}, project_decoder, ALLOWED)
    of = wanted.organisation
    if of not in {row["id"] for row in read(register.organisations)}:
        made = understood({"id": of}, organisation_decoder, ALLOWED)
        carry_out(CreateOrganisation(made.id, made.id))
    project = creation(wanted)
    carry_out(project)
    if as_json:
        print_json({"data": told_project(project)})
    else:
        out.print(f"project {id_} of organisation {of} is made", highlight=False)


@projects.command(
    help="Rename a project, or say how long its requests' text and audio are kept."
    + EXAMPLE
    + "gateway projects change audiobooks --keep-text-hours 24 --keep-audio-hours 72"
)
@click.argument("id_", metavar="ID")
@click.option("--name")
@_text_option
@_audio_option
@as_json_option
def change(id_: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    wanted = understood(said(**options), change_decoder, ALLOWED)
    carry_out(ChangeProject(id_, **msgspec.structs.asdict(wanted)))
    if as_json:
        rows = read(register.projects)
        print_json({"data": next(told(row) for row in rows if row["id"] == id_)})
    else:
        out.print(f"project {id_} is changed", highlight=False)

"""`gateway projects`: the projects and organisations that keys count on."""

from typing import Any

import click

from gateway.command.ledger import carry_out, read, said, understood
from gateway.command.printing import EXAMPLE, as_json_option, out, print_json, print_table
from gateway.endpoints.projects import ALLOWED, organisation_decoder, project_decoder, told
from gateway.metering import register
from gateway.metering.operations import CreateOrganisation, CreateProject


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
@as_json_option
def create(id_: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    wanted = understood(said(**options) | {"id": id_}, project_decoder, ALLOWED)
    of, name = wanted.organisation, wanted.name or id_
    if of not in {row["id"] for row in read(register.organisations)}:
        made = understood({"id": of}, organisation_decoder, ALLOWED)
        carry_out(CreateOrganisation(made.id, made.id))
    carry_out(CreateProject(id_, of, name))
    if as_json:
        print_json({"data": {"id": id_, "name": name, "organisation": of}})
    else:
        out.print(f"project {id_} of organisation {of} is made", highlight=False)

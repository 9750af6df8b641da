"""The work of `gateway projects`: each function is the command of its name."""

from typing import Any

import msgspec

from gateway.command.printing import out, print_json, print_table
from gateway.command.work.ledger import carry_out, read, said, understood
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


def list_projects(*, as_json: bool) -> None:
    rows = [told(row) for row in read(register.projects)]
    if as_json:
        print_json({"data": rows})
    else:
        print_table("projects", rows)


def create(id_: str, options: dict[str, Any], *, as_json: bool) -> None:
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


def change(id_: str, options: dict[str, Any], *, as_json: bool) -> None:
    wanted = understood(said(**options), change_decoder, ALLOWED)
    carry_out(ChangeProject(id_, **msgspec.structs.asdict(wanted)))
    if as_json:
        rows = read(register.projects)
        print_json({"data": next(told(row) for row in rows if row["id"] == id_)})
    else:
        out.print(f"project {id_} is changed", highlight=False)

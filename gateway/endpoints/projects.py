"""`/organisations`, `/projects` and `/audit`: for whom keys speak, and who changed what."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, patch, post
from litestar.params import QueryParameter
from msgspec import Meta
from sqlalchemy import RowMapping

from gateway.endpoints.amounts import iso
from gateway.endpoints.decoding import decode
from gateway.endpoints.key_body import KeyName
from gateway.endpoints.keys import managing
from gateway.endpoints.paths import both
from gateway.errors import InvalidRequest
from gateway.metering import register
from gateway.metering.operations import ChangeProject, CreateOrganisation, CreateProject

Plain = Request[Any, Any, Any]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
Hours = Annotated[int, Meta(ge=0, le=87_600)]
_SLUG = "1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit"
_HOURS = "whole hours, 0 (not kept) to 87600"
ALLOWED = {
    "id": _SLUG,
    "organisation": _SLUG,
    "name": "1 to 200 characters, none of them a control character",
    "keep_text_hours": _HOURS,
    "keep_audio_hours": _HOURS,
}


class NewOrganisation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an organisation is made from; its name is its id where none is given."""

    id: Slug
    name: KeyName | None = None


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a project is made from."""

    id: Slug
    name: KeyName | None = None
    organisation: Slug = "default"
    keep_text_hours: Hours = 0
    keep_audio_hours: Hours = 0


class ProjectChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes on a project; what is left out stays."""

    name: KeyName | None = None
    keep_text_hours: Hours | None = None
    keep_audio_hours: Hours | None = None


organisation_decoder = msgspec.json.Decoder(NewOrganisation)
project_decoder = msgspec.json.Decoder(NewProject)
change_decoder = msgspec.json.Decoder(ProjectChange)


@get(both("/organisations"))
async def list_organisations(request: Plain) -> dict[str, Any]:
    """All of them, by id."""
    gateway, _ = await managing(request)
    async with gateway.reading.connect() as connection:
        rows = await register.organisations(connection)
    return {"object": "list", "data": [told(row) for row in rows]}


@post(both("/organisations"))
async def create_organisation(request: Plain) -> dict[str, Any]:
    """Make one."""
    gateway, caller = await managing(request)
    wanted = decode(await request.body(), organisation_decoder, ALLOWED)
    name = wanted.name or wanted.id
    await gateway.writer.submit(CreateOrganisation(wanted.id, name, caller.key_hash))
    return {"data": {"id": wanted.id, "name": name}}


@get(both("/projects"))
async def list_projects(request: Plain) -> dict[str, Any]:
    """All of them, by id."""
    gateway, _ = await managing(request)
    async with gateway.reading.connect() as connection:
        rows = await register.projects(connection)
    return {"object": "list", "data": [told(row) for row in rows]}


@post(both("/projects"))
async def create_project(request: Plain) -> dict[str, Any]:
    """Make one in an organisation."""
    gateway, caller = await managing(request)
    wanted = decode(await request.body(), project_decoder, ALLOWED)
    made = creation(wanted, caller.key_hash)
    await gateway.writer.submit(made)
    return {"data": told_project(made)}


@patch(both("/projects/{project_id:str}"))
async def change_project(request: Plain, project_id: str) -> dict[str, Any]:
    """Rename it, or say how long its requests' text and audio are kept.

    A shorter time is also that of what is kept already, some minutes later; a longer one is not.
    """
    gateway, caller = await managing(request)
    wanted = decode(await request.body(), change_decoder, ALLOWED)
    changed = ChangeProject(project_id, **msgspec.structs.asdict(wanted), actor=caller.key_hash)
    await gateway.writer.submit(changed)
    async with gateway.reading.connect() as connection:
        rows = await register.projects(connection)
    return {"data": next(told(row) for row in rows if row["id"] == project_id)}


@get(both("/audit"))
async def list_changes(
    request: Plain,
    subject: Annotated[str | None, QueryParameter(max_length=120)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    before_id: Annotated[int | None, QueryParameter(ge=0, le=2**62)] = None,
) -> dict[str, Any]:
    """Every change that somebody made, newest first."""
    gateway, _ = await managing(request)
    if subject is not None and not subject.isprintable():
        raise InvalidRequest("subject: give a scope, as key:<hash>", param="subject")
    async with gateway.reading.connect() as connection:
        rows = await register.changes(connection, subject, before_id, limit + 1)
    data = [_change(row) for row in rows[:limit]]
    return {"object": "list", "data": data, "has_more": len(rows) > limit}


def creation(wanted: NewProject, actor: str = "operator") -> CreateProject:
    return CreateProject(
        wanted.id,
        wanted.organisation,
        wanted.name or wanted.id,
        actor,
        wanted.keep_text_hours,
        wanted.keep_audio_hours,
    )


def told_project(made: CreateProject) -> dict[str, Any]:
    named = ("id", "name", "organisation", "keep_text_hours", "keep_audio_hours")
    return {name: getattr(made, name) for name in named}


def told(row: RowMapping) -> dict[str, Any]:
    """A project or an organisation."""
    told = {name: value for name, value in row.items() if name != "created_ms"}
    return told | {"created_at": iso(row["created_ms"])}


def _change(row: RowMapping) -> dict[str, Any]:
    sides = ("before", "after")
    told = {side: row[side] and msgspec.json.decode(row[side]) for side in sides}
    return {name: row[name] for name in ("id", "actor", "action", "subject")} | {
        "at": iso(row["at_ms"]),
        **told,
    }

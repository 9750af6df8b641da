"""`/organisations`, `/projects` and `/audit`: for whom keys speak, and who changed what."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
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
from gateway.metering.operations import CreateOrganisation, CreateProject

Plain = Request[Any, Any, Any]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z")]
_SLUG = "1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit"
ALLOWED = {
    "id": _SLUG,
    "organisation": _SLUG,
    "name": "1 to 200 characters, none of them a control character",
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


organisation_decoder = msgspec.json.Decoder(NewOrganisation)
project_decoder = msgspec.json.Decoder(NewProject)


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
    name, of = wanted.name or wanted.id, wanted.organisation
    await gateway.writer.submit(CreateProject(wanted.id, of, name, caller.key_hash))
    return {"data": {"id": wanted.id, "name": name, "organisation": of}}


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

"""Organisations and projects: which there are, what they use, and new ones."""

from datetime import UTC, datetime

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import json

from gateway.dashboard.forms import Form, Kinds, as_body, refused, typed
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.decoding import decode
from gateway.endpoints.projects import ALLOWED, organisation_decoder, project_decoder
from gateway.errors import GatewayError
from gateway.metering import register
from gateway.metering.operations import CreateOrganisation, CreateProject
from gateway.metering.register import ProjectUse
from gateway.metering.spent import period_starts

ORGANISATION: Kinds = {"id": "text", "name": "text"}
PROJECT: Kinds = {"id": "text", "name": "text", "organisation": "text"}
_ORGANISATION, _PROJECT = "organisation-", "project-"


@get("/dashboard/projects")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    return await _page(visitor, done=request.query_params.get("done"))


@post("/dashboard/organisations", status_code=303)
async def create_organisation(request: Plain) -> Response[str] | Redirect:
    visitor = await visitor_of(request, manages=True)
    values, actor = await typed(request), visitor.caller.key_hash
    try:
        body = json.encode(as_body(values, ORGANISATION))
        wanted = decode(body, organisation_decoder, ALLOWED)
        operation = CreateOrganisation(wanted.id, wanted.name or wanted.id, actor)
        await visitor.gateway.writer.submit(operation)
    except GatewayError as error:
        form = refused(values, error, ORGANISATION, _ORGANISATION)
        return await _page(visitor, organisation=form, status=error.status)
    return _back("organisation")


@post("/dashboard/projects", status_code=303)
async def create_project(request: Plain) -> Response[str] | Redirect:
    visitor = await visitor_of(request, manages=True)
    values, actor = await typed(request), visitor.caller.key_hash
    try:
        wanted = decode(json.encode(as_body(values, PROJECT)), project_decoder, ALLOWED)
        name = wanted.name or wanted.id
        await visitor.gateway.writer.submit(
            CreateProject(wanted.id, wanted.organisation, name, actor)
        )
    except GatewayError as error:
        form = refused(values, error, PROJECT, _PROJECT)
        return await _page(visitor, project=form, status=error.status)
    return _back("project")


async def _page(
    visitor: Visitor,
    *,
    organisation: Form | None = None,
    project: Form | None = None,
    status: int = 200,
    done: str | None = None,
) -> Response[str]:
    async with visitor.gateway.reading.connect() as connection:
        organisations = await register.organisations(connection)
        projects = await register.projects(connection)
        keys = await register.keys_of_projects(connection)
        use = await register.use_of_projects(connection, period_starts(datetime.now(UTC))[2])
    told = {
        "visitor": visitor,
        "page": "keys",
        "tab": "projects",
        "organisations": organisations,
        "projects": [
            (row, keys.get(row["id"], 0), use.get(row["id"], ProjectUse())) for row in projects
        ],
        "organisation_form": organisation or Form(prefix=_ORGANISATION),
        "project_form": project or Form({"organisation": "default"}, prefix=_PROJECT),
        "done": done,
    }
    return html("projects.html", told, status)


def _back(done: str) -> Redirect:
    return Redirect(f"/dashboard/projects?done={done}", status_code=303, headers=HEADERS)

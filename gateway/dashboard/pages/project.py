"""One project: its name, and how long the text and the audio of its requests are kept."""

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import json, structs
from sqlalchemy import RowMapping

from gateway.dashboard.changes import change_lines
from gateway.dashboard.forms import Form, Kinds, as_body, changed, refused, typed
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.decoding import decode
from gateway.endpoints.projects import ALLOWED, change_decoder
from gateway.errors import GatewayError, NotFound
from gateway.metering import register
from gateway.metering.operations import ChangeProject

FIELDS: Kinds = {"name": "text", "keep_text_hours": "count", "keep_audio_hours": "count"}
LAST_CHANGES = 10


@get("/dashboard/projects/{project_id:str}")
async def page(request: Plain, project_id: str) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    project = await _project(visitor, project_id)
    return await _page(visitor, project, done=request.query_params.get("done"))


@post("/dashboard/projects/{project_id:str}", status_code=303)
async def change(request: Plain, project_id: str) -> Response[str] | Redirect:
    """Change what is not as it was; an empty field leaves it."""
    visitor = await visitor_of(request, manages=True)
    project, values = await _project(visitor, project_id), await typed(request)
    try:
        body = as_body(changed(values, _as_typed(project), FIELDS), FIELDS)
        wanted = structs.asdict(decode(json.encode(body), change_decoder, ALLOWED))
        if set(wanted.values()) == {None}:
            return _back(project_id, "same")
        operation = ChangeProject(project_id, **wanted, actor=visitor.caller.key_hash)
        await visitor.gateway.writer.submit(operation)
    except GatewayError as error:
        return await _page(visitor, project, refused(values, error, FIELDS), error.status)
    return _back(project_id, "changed")


async def _project(visitor: Visitor, project_id: str) -> RowMapping:
    async with visitor.gateway.reading.connect() as connection:
        for row in await register.projects(connection):
            if row["id"] == project_id:
                return row
    raise NotFound("There is no such project.")


def _as_typed(project: RowMapping) -> dict[str, str]:
    return {name: str(project[name]) for name in FIELDS}


async def _page(
    visitor: Visitor,
    project: RowMapping,
    form: Form | None = None,
    status: int = 200,
    done: str | None = None,
) -> Response[str]:
    async with visitor.gateway.reading.connect() as connection:
        scope = f"project:{project['id']}"
        lines = await change_lines(connection, scope, None, LAST_CHANGES)
    told = {
        "visitor": visitor,
        "page": "keys",
        "tab": "projects",
        "project": project,
        "form": form or Form(_as_typed(project)),
        "changes": lines,
        "done": done,
    }
    return html("project.html", told, status)


def _back(project_id: str, done: str) -> Redirect:
    place = f"/dashboard/projects/{project_id}?done={done}"
    return Redirect(place, status_code=303, headers=HEADERS)

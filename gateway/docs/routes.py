"""`/openapi.json` and `/docs`: made when they are first asked for, and then kept."""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.routes import HTTPRoute

from gateway.dashboard.rendering import html
from gateway.docs.document import Json, document
from gateway.docs.page import groups, shapes

Plain = Request[Any, Any, Any]


@get("/openapi.json")
async def openapi(request: Plain) -> Response[bytes]:
    """The document for programs."""
    return Response(
        msgspec.json.encode(_document(request.app)),
        media_type="application/json",
        headers={"X-Content-Type-Options": "nosniff"},
    )


@get("/docs")
async def page(request: Plain) -> Response[str]:
    """The same for people."""
    kept = request.app.state
    if "docs" not in kept:
        made = _document(request.app)
        kept["docs"] = html("docs.html", {"groups": groups(made), "shapes": shapes(made)})
    shown: Response[str] = kept["docs"]
    return shown


def _document(app: Litestar) -> Json:
    if "openapi" not in app.state:
        app.state["openapi"] = document(served(app))
    found: Json = app.state["openapi"]
    return found


def served(app: Litestar) -> set[tuple[str, str]]:
    """The methods and paths that the gateway answers, as the document names them."""
    return {
        (method.lower(), path)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for path in _spellings(route)
        for method in route.methods
    }


def _spellings(route: HTTPRoute) -> tuple[str, ...]:
    """A path without the types of its parts; a model's also with what may stand behind it."""
    path = route.path
    for part, parameter in route.path_parameters.items():
        name = "hash" if part == "hash_" else part
        path = path.replace(parameter.full, name)
    is_model = path.endswith("/models/{name}")
    return (path, f"{path}/endpoints") if is_model else (path,)

"""The dashboard's addresses, and what its pages tell instead of the API's error body."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from litestar import Request, Response, Router
from litestar.config.compression import CompressionConfig
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.response import Redirect

from gateway.dashboard import files
from gateway.dashboard.pages import (
    audit,
    budgets,
    engine,
    key,
    keys,
    models,
    projects,
    providers,
    request,
    requests,
    signing,
    trying,
    usage,
)
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import SignedOut
from gateway.errors import GatewayError, NotFound


def _lead_to_sign_in(request: Request[Any, Any, Any], _: SignedOut) -> Response[Any]:
    """A page leads to the sign-in and back; a part of one has the whole page go there."""
    is_part = bool(request.headers.get("hx-request"))
    # A part is no place to come back to; the page that it belongs to says where it is.
    url = urlsplit(request.headers.get("hx-current-url", "/dashboard")) if is_part else request.url
    target = url.path + (f"?{url.query}" if url.query else "")
    if request.method != "GET":
        target = "/dashboard"
    place = f"/dashboard/sign-in?{urlencode({'next': target})}"
    if is_part:
        return Response("", status_code=401, headers=HEADERS | {"HX-Redirect": place})
    return Redirect(place, status_code=303, headers=HEADERS)


def _tell(_: Request[Any, Any, Any], error: GatewayError) -> Response[str]:
    told = {"status": error.status, "wrong": error.message, "visitor": None, "page": ""}
    return html("error.html", told, error.status)


def _tell_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[str]:
    is_absent = error.status_code == NotFound.status
    wrong = "There is no such page." if is_absent else error.detail
    told = {"status": error.status_code, "wrong": wrong, "visitor": None, "page": ""}
    return html("error.html", told, error.status_code)


PACKED = CompressionConfig(
    backend="gzip",
    gzip_compress_level=5,
    exclude=["^/dashboard/static/", "^/dashboard/requests/.*/audio$", "^/dashboard/try/speech$"],
)
"""Pages and tables. Files pack themselves, and audio is packed already."""

dashboard = Router(
    "/",
    middleware=[DefineMiddleware(CompressionMiddleware, config=PACKED)],
    route_handlers=[
        files.static,
        signing.sign_in,
        signing.begin,
        signing.end,
        usage.page,
        usage.table,
        *(keys.page, keys.blank, keys.create),
        *(key.page, key.change, key.disable, key.enable, key.rotate, key.delete),
        *(projects.page, projects.create_organisation, projects.create_project),
        *(budgets.page, budgets.one, budgets.set_budget, budgets.remove_budget),
        audit.page,
        models.page,
        models.one,
        providers.page,
        trying.page,
        trying.voices,
        trying.prices,
        trying.speech,
        engine.page,
        engine.part,
        requests.page,
        request.page,
        request.audio,
        request.forget,
        signing.absent,
    ],
    exception_handlers={
        SignedOut: _lead_to_sign_in,
        GatewayError: _tell,
        HTTPException: _tell_http,
    },
)

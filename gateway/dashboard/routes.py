"""The dashboard's addresses, and what its pages tell instead of the API's error body."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from litestar import Response, Router
from litestar.config.compression import CompressionConfig
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.response import Redirect
from sqlalchemy.exc import SQLAlchemyError

from gateway.dashboard import files, wrongs
from gateway.dashboard.pages import (
    audit,
    budgets,
    engine,
    key,
    keys,
    models,
    project,
    projects,
    providers,
    request,
    requests,
    signing,
    trying,
    usage,
)
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, SignedOut, seen
from gateway.endpoints import answers
from gateway.errors import GatewayError


def _lead_to_sign_in(request: Plain, _: SignedOut) -> Response[Any]:
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


def _tell(request: Plain, error: Exception) -> Response[str]:
    """What is wrong, under the pages' names for who is signed in; a part has no place for them."""
    status, wrong = wrongs.told(request, error)
    visitor = None if request.headers.get("hx-request") else seen(request)
    told = {"status": status, "wrong": wrong, "visitor": visitor, "page": ""}
    return html("error.html", told, status)


def tell_http(request: Plain, error: HTTPException) -> Response[Any]:
    """Where no route was found, its address alone tells whether a page was meant."""
    is_page = request.url.path.startswith("/dashboard/")
    return _tell(request, error) if is_page else answers.tell_http(request, error)


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
        *(project.page, project.change),
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
        # Those of the API are nearer to these errors than one for all of them would be.
        **dict.fromkeys((GatewayError, HTTPException, SQLAlchemyError, Exception), _tell),
    },
)

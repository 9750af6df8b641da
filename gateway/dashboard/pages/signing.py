"""Signing in with an API key, and out."""

from contextlib import suppress
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.sessions import Sessions, cookie, is_secure, safe_target
from gateway.dashboard.visitor import Plain, SignedOut, visitor_of
from gateway.endpoints.state import gateway_of
from gateway.errors import Forbidden, NotFound, Unauthenticated

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/dashboard/sign-in", sync_to_thread=False)
def sign_in(request: Plain) -> Response[str]:
    target = safe_target(request.query_params.get("next"))
    return html("sign_in.html", {"next": target, "wrong": None, "visitor": None, "page": ""})


@post("/dashboard/sign-in", status_code=303)
async def begin(request: Plain, data: Form) -> Response[Any]:
    """Open a session; a wrong key is told on the page, and never written back into it."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("sign in from this dashboard's own page")
    gateway, target = gateway_of(request), safe_target(data.get("next"))
    key = data.get("key", "").strip()
    try:
        await gateway.callers.accept(f"Bearer {key}")
    except Unauthenticated as error:
        told = {"next": target, "wrong": error.message, "visitor": None, "page": ""}
        return html("sign_in.html", told, 401)
    session = Sessions(gateway.pepper).begin(gateway.callers.stored(key))
    given = cookie(session, is_secure=is_secure(request))
    return Redirect(target, status_code=303, cookies=[given], headers=HEADERS)


@post("/dashboard/sign-out", status_code=303)
async def end(request: Plain) -> Redirect:
    await visitor_of(request)
    taken = cookie(None, is_secure=is_secure(request))
    return Redirect("/dashboard/sign-in", status_code=303, cookies=[taken], headers=HEADERS)


@get("/dashboard/{rest:path}")
async def absent(request: Plain, rest: str) -> Response[str]:  # noqa: ARG001  # whatever it is
    """Whatever else is asked for is told in a page, not in the API's error body."""
    with suppress(SignedOut):
        await visitor_of(request)
    raise NotFound("There is no such page.")

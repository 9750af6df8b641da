"""Who looks at a page: a signed-in key, with what it may see and change."""

from dataclasses import dataclass
from typing import Any

from litestar import Request

from gateway.access.keys import MANAGE, SPEAK, Caller
from gateway.dashboard.sessions import Session, Sessions, token_of
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import Forbidden, GatewayError, Unauthenticated

Plain = Request[Any, Any, Any]
_SAFE = {"same-origin", "none", ""}
_SEEN = "visitor"


class SignedOut(GatewayError):
    """Nobody is signed in, or no longer; pages lead to the sign-in instead of telling it."""

    status = 401
    type = "authentication_error"
    error_type = "authentication"


@dataclass(frozen=True, slots=True)
class Visitor:
    """One request of somebody who is signed in."""

    gateway: Gateway
    caller: Caller
    form_token: str

    @property
    def manages(self) -> bool:
        """Whether everything may be seen and changed."""
        return MANAGE in self.caller.scopes

    @property
    def speaks(self) -> bool:
        return SPEAK in self.caller.scopes


async def visitor_of(request: Plain, *, manages: bool = False) -> Visitor:
    """The signed-in visitor; SignedOut, or Forbidden where a management key is wanted."""
    gateway = gateway_of(request)
    sessions = Sessions(gateway.pepper)
    session = sessions.read(token_of(request))
    if session is None:
        raise SignedOut("sign in with an API key")
    try:
        caller = await gateway.callers.known(session.stored)
    except Unauthenticated as error:
        raise SignedOut(error.message) from None
    visitor = Visitor(gateway, caller, sessions.form_token(session))
    request.scope["state"][_SEEN] = visitor
    if manages and MANAGE not in caller.scopes:
        raise Forbidden("this page wants a management key")
    if request.method not in {"GET", "HEAD"}:
        await check_form(request, sessions, session)
    return visitor


def seen(request: Plain) -> Visitor | None:
    """The visitor, where `visitor_of` has found one before something went wrong."""
    found: Visitor | None = request.scope["state"].get(_SEEN)
    return found


async def check_form(request: Plain, sessions: Sessions, session: Session) -> None:
    """Refuse a form that was not sent from one of our own pages (CSRF)."""
    given = request.headers.get("x-csrf-token")
    if given is None:
        form = await request.form()
        found = form.get("csrf")
        given = found if isinstance(found, str) else None
    site = request.headers.get("sec-fetch-site", "")
    if site not in _SAFE or not sessions.is_own(session, given):
        raise Forbidden("this form did not come from this dashboard; load the page again")

"""Errors as answers: whatever a handler raises leaves as the one error body, with its headers."""

import logging
import re
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import SQLAlchemyError

from gateway import logs
from gateway.endpoints.state import gateway_of
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    MeteringUnavailable,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
)
from gateway.identity import Identity, new_identity
from gateway.logs import About
from gateway.metrics.instruments import OTHER

log = logging.getLogger(__name__)
SPEECH = "/audio/speech"
_BY_STATUS: dict[int, type[GatewayError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
}


def identity(request: Request[Any, Any, Any]) -> Identity:
    """The request's identity, made when it is first asked for; the same all along."""
    state = request.scope["state"]
    if "identity" not in state:
        state["identity"] = new_identity()
    known: Identity = state["identity"]
    return known


def request_id(request: Request[Any, Any, Any]) -> str:
    """The request's id: the client's own when it is plain, else a new one; the same all along."""
    state = request.scope["state"]
    if "request_id" not in state:
        given = request.headers.get("x-request-id", "")
        plain = re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given)
        state["request_id"] = given if plain else identity(request).request_id
    known: str = state["request_id"]
    return known


def tell(request: Request[Any, Any, Any], error: GatewayError) -> Response[bytes]:
    if request.url.path.endswith(SPEECH) and "generation_headers" not in request.scope["state"]:
        _count(request, error)
    headers = dict(error.headers())
    headers |= dict(request.scope["state"].get("generation_headers", ()))
    headers["X-Request-Id"] = request_id(request)
    return Response(
        error.body(request_id(request)),
        status_code=error.status,
        media_type="application/json",
        headers=headers,
    )


def _count(request: Request[Any, Any, Any], error: GatewayError) -> None:
    """A speech request that was refused before it was planned, which nobody else sees."""
    metrics = gateway_of(request).scrape.metrics
    metrics.request(OTHER, None, "refused", error.status, error.error_type)
    if logs.access.isEnabledFor(logging.INFO):
        told = {"outcome": "refused", "status": error.status, "error_type": error.error_type}
        ids = About(request_id(request))
        logs.access.info("speech", extra={"told": told, "about": ids})


def tell_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own refusals: unknown paths, wrong methods, bad queries."""
    refusal = _BY_STATUS.get(error.status_code, InvalidRequest)
    extra = error.extra if isinstance(error.extra, list) else []
    told = [f"{each.get('key')}: {each.get('message')}" for each in extra if isinstance(each, dict)]
    if error.status_code == 404:  # noqa: PLR2004
        told = [f"there is no {request.method} {request.url.path[:200]}"]
    param = next(
        (str(each["key"]) for each in extra if isinstance(each, dict) and "key" in each), None
    )
    return tell(request, refusal("; ".join(told) or error.detail, param=param))


def _tell_database(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
    return tell(request, MeteringUnavailable("the database does not answer", retry_after=2))


def log_fault(request: Request[Any, Any, Any], error: Exception) -> None:
    ids = {"about": About(request_id(request))}
    log.error("a request failed in the gateway itself", exc_info=error, extra=ids)


def _tell_fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log_fault(request, error)
    return tell(request, GatewayError("the gateway itself failed"))


exception_handlers: ExceptionHandlersMap = {
    GatewayError: tell,
    HTTPException: tell_http,
    SQLAlchemyError: _tell_database,
    Exception: _tell_fault,
}

"""Usage: characters, spend, requests, audio, errors by time, and who they belong to."""

from litestar import Response, get

from gateway.dashboard.rendering import html
from gateway.dashboard.visitor import Plain, visitor_of


@get("/dashboard")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request)
    return html("usage.html", {"visitor": visitor, "page": "usage"})

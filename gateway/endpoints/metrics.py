"""`/metrics`: this gateway's numbers in Prometheus' text format.

Without a key where the gateway is bound to loopback or the operator allows it; else for a
management key, for the numbers tell what the gateway earns and whom it buys from.
"""

from typing import Any

from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.access.keys import MANAGE
from gateway.endpoints.state import gateway_of


@get("/metrics")
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """All counters, histograms and gauges."""
    gateway = gateway_of(request)
    if not gateway.public_metrics:
        await gateway.callers.accept(request.headers.get("authorization"), MANAGE)
    return Response(
        await gateway.scrape.text(),
        media_type=CONTENT_TYPE_LATEST,
        headers={"Cache-Control": "no-store"},
    )

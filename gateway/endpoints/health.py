"""`/health/live` and `/health/ready`: whether the process runs, and whether it can serve."""

import time
from typing import Any

from litestar import Request, Response, get
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.endpoints.offers import resting
from gateway.endpoints.state import gateway_of


@get("/health/live")
async def live() -> dict[str, Any]:
    """The process answers."""
    return {"status": "live"}


@get("/health/ready")
async def ready(request: Request[Any, Any, Any], verbose: str | None = None) -> Response[Any]:
    """Requests can be served; `?verbose` tells the database, and who is off or rests, and why."""
    gateway = gateway_of(request)
    try:
        async with gateway.reading.connect() as connection:
            await connection.execute(text("SELECT 1"))
        database = "ok"
    except (SQLAlchemyError, OSError):
        database = "does not answer"
    catalog = gateway.routes.catalog
    status = "draining" if gateway.draining else "ready" if database == "ok" else "not ready"
    told: dict[str, Any] = {"status": status}
    if verbose is not None:
        told["database"] = database
        told["providers"] = {name: row.off or "on" for name, row in catalog.providers.items()}
        told["resting"] = resting(catalog, gateway.standings, time.monotonic())
    return Response(told, status_code=200 if status == "ready" else 503)

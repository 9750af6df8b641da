"""How an engine of ours does: its own word on its health, and its figures, beside its speech."""

import asyncio
from dataclasses import dataclass

import aiohttp
import httpx

from providers.catalog import Provider
from providers.http import Client

SECONDS = 1.5
"""Whoever looks at an engine does not wait for one that hangs."""
LARGEST = 1_000_000
SPEECH = "/v1"


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """What it answered; an engine that is not ready says so with 503, and tells why."""

    status: int
    ready: bytes
    """JSON."""
    metrics: bytes
    """In Prometheus' text format; empty where it has none."""


async def engine_health(client: Client, provider: Provider) -> EngineHealth | None:
    """None where it does not answer in time, or answers more than anybody wants to read."""
    root = provider.address.removesuffix(SPEECH)
    try:
        async with asyncio.timeout(SECONDS):
            (status, ready), (found, metrics) = await asyncio.gather(
                _get(client, f"{root}/health/ready"), _get(client, f"{root}/metrics")
            )
    except (httpx.HTTPError, aiohttp.ClientError, TimeoutError, OverflowError):
        return None
    return EngineHealth(status, ready, metrics if found == httpx.codes.OK else b"")


async def _get(client: Client, url: str) -> tuple[int, bytes]:
    extensions = client.extensions_for(0.0)
    request = httpx.Request("GET", url, extensions=extensions)
    response = await client.handle_async_request(request)
    body = b""
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > LARGEST:
                raise OverflowError
    finally:
        await response.aclose()
    return response.status_code, body

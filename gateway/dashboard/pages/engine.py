"""Engine: what our own engines are doing, asked of them every two seconds."""

import asyncio
import re
import time
from collections.abc import Mapping

import msgspec
from litestar import Response, get

from gateway.dashboard.engines import EngineState, Sample, engine_state
from gateway.dashboard.rendering import html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.endpoints.state import Gateway
from providers import Provider, engine_health

LONGEST_BEFORE = 20_000
"""Characters that the last look's samples may come back as."""
_NUMBERED = re.compile(r"-\d+$")


@get("/dashboard/engine")
async def page(request: Plain) -> Response[str]:
    visitor = await visitor_of(request, manages=True)
    return html("engine.html", await _values(visitor, {}))


@get("/dashboard/engine/part")
async def part(request: Plain) -> Response[str]:
    """What is swapped into the page; `before` is what it said the last time."""
    visitor = await visitor_of(request, manages=True)
    before = _samples(request.query_params.get("before", ""))
    return html("engine_part.html", await _values(visitor, before))


async def _values(visitor: Visitor, before: Mapping[str, Sample]) -> dict[str, object]:
    gateway = visitor.gateway
    rows = _rows(gateway)
    states = await asyncio.gather(*(_state(gateway, row, before) for row in rows))
    samples: dict[str, Sample] = {}
    now = _now()
    for state in states:
        samples |= state.samples(now)
    return {
        "visitor": visitor,
        "page": "engine",
        "states": states,
        "has_csm": any(_row_of(row.name) == gateway.engines[-1] for row in rows),
        "before": msgspec.json.encode(samples).decode(),
        "at": now,
    }


async def _state(gateway: Gateway, row: Provider, before: Mapping[str, Sample]) -> EngineState:
    health = await engine_health(gateway.client, row)
    return engine_state(row.name, row.address, health, before, _now())


def _rows(gateway: Gateway) -> list[Provider]:
    """The rows that engines answer for: NAME, and NAME-2, NAME-3 where there are several."""
    providers = gateway.routes.catalog.providers
    return [
        row
        for name, row in providers.items()
        if row.address and {name, _row_of(name)} & set(gateway.engines)
    ]


def _row_of(name: str) -> str:
    return _NUMBERED.sub("", name)


def _samples(before: str) -> dict[str, Sample]:
    """What the page sent back; anything else counts as nothing."""
    if len(before) > LONGEST_BEFORE:
        return {}
    try:
        return msgspec.json.decode(before, type=dict[str, Sample])
    except msgspec.DecodeError:
        return {}


def _now() -> int:
    """Epoch milliseconds."""
    return int(time.time() * 1000)

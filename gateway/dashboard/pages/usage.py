"""Usage: characters, spend, requests, audio, errors by time, and who they belong to."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.keys import Caller
from gateway.dashboard import words
from gateway.dashboard.flowing import flowing
from gateway.dashboard.limits import Limits, limits_of
from gateway.dashboard.ranges import RANGES
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.view import MEASURES, View, view_of
from gateway.dashboard.visitor import Plain, visitor_of
from gateway.endpoints.usage import Told, iso
from gateway.errors import InvalidRequest
from gateway.metering.usage import (
    Bucket,
    Measure,
    Member,
    Use,
    series,
    summary,
    unknown_nano,
)

MOST_MEMBERS = 50
_LETTERS: Mapping[Bucket, int] = {"hour": 16, "day": 10, "month": 7}
"""How much of an ISO time names a step."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to tell of a view."""

    total: Use
    steps: Sequence[tuple[int, Use]]
    members: Sequence[tuple[Member, Use]]
    others: Use | None
    """Of those who are not among the members."""
    unknown: int
    """Nano-USD of requests whose end nobody saw."""
    limits: Limits
    at_ms: int

    @property
    def tag(self) -> str:
        """What tells it from anything else that may be found, but for when that was."""
        told = repr(replace(self, at_ms=0)).encode()
        return hashlib.blake2b(told, digest_size=12).hexdigest()


@get("/dashboard")
async def page(request: Plain) -> Response[Any]:
    """The part that lives is asked for again alone.

    Who asks says what is shown already, and is sent nothing where that is all there is.
    """
    visitor = await visitor_of(request)
    told = {"visitor": visitor, "page": "usage", "ranges": RANGES, "measures": MEASURES}
    told |= {"amount": amount, "plotted": plotted, "written": written, "step": step}
    try:
        view = view_of(request.query_params, visitor.caller)
    except InvalidRequest as error:
        usual = view_of({}, visitor.caller)
        return html("usage.html", told | {"view": usual, "wrong": error.message}, 400)

    async def find() -> dict[str, Found]:
        async with visitor.gateway.reading.connect() as connection:
            return {"found": await _find(connection, view, visitor.caller)}

    told |= {"view": view, "wrong": None}
    shown = request.headers.get("if-none-match")
    if shown is None:
        return await flowing(request, ("usage.html", "usage_live.html"), told, find)
    found = await find()
    if found["found"].tag == shown:
        return Response(None, status_code=304, headers=HEADERS)
    return html("usage_live.html", told | found)


@get("/dashboard/usage.csv")
async def table(request: Plain) -> Response[str]:
    """What the page tells, by step and by whom, as a spreadsheet reads it."""
    visitor = await visitor_of(request)
    view = view_of(request.query_params, visitor.caller)
    window, bucket = view.range.window, view.range.bucket
    async with visitor.gateway.reading.connect() as connection:
        used = await series(connection, window, bucket, view.by)
    name = f"usage-{view.range.first_day}-{view.range.last_day}-by-{view.by}.csv"
    return Response(
        Told.of(used, window, view.by).csv(),
        media_type="text/csv",
        headers=HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _find(connection: AsyncConnection, view: View, caller: Caller) -> Found:
    window, bucket = view.range.window, view.range.bucket
    used = await summary(connection, window, bucket, view.by, view.sort, MOST_MEMBERS + 1)
    shown = list(used.members.items())[:MOST_MEMBERS]
    total = Use()
    for use in used.steps.values():
        total.add(use)
    return Found(
        total,
        [(at, used.steps.get(at) or Use()) for at in view.range.starts],
        shown,
        _others(total, [use for _, use in shown]) if len(used.members) > MOST_MEMBERS else None,
        await unknown_nano(connection, window),
        await limits_of(connection, caller),
        int(time.time() * 1000),
    )


def _others(total: Use, shown: Sequence[Use]) -> Use:
    rest = replace(total)
    for use in shown:
        for name in Use.__slots__:
            setattr(rest, name, getattr(rest, name) - getattr(use, name))
    return rest


# Figures, as the templates write them.


def amount(use: Use, measure: Measure) -> int:
    """As it is counted: money in nano-USD, audio in milliseconds."""
    counted: dict[Measure, int] = {"cost": use.cost_nano, "audio": use.audio_ms}
    found: int = counted[measure] if measure in counted else getattr(use, measure)
    return found


def plotted(use: Use, measure: Measure) -> float:
    """As a chart has it: money in USD, audio in seconds."""
    scale: dict[Measure, float] = {"cost": 1e9, "audio": 1e3}
    return amount(use, measure) / scale.get(measure, 1)


def written(use: Use, measure: Measure) -> str:
    if measure == "cost":
        return words.money(use.cost_nano)
    return (
        words.seconds(use.audio_ms / 1000)
        if measure == "audio"
        else words.count(amount(use, measure))
    )


def step(at_ms: int, bucket: Bucket) -> str:
    return iso(at_ms)[: _LETTERS[bucket]].replace("T", " ")

"""Requests: the searchable log, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlencode

from litestar import Response, get
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.dashboard.flowing import flowing
from gateway.dashboard.rendering import html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.metering import searching
from gateway.metering.searching import STATUSES, Page, Status, Wanted

ROWS = 50
LONGEST = 256
LATEST_MS = 9_999_999_999_999
"""As far as ids can tell the time."""
TEXTS = ("q", "from", "to", "key", "model", "provider", "status", "error", "app")
CHECKS = ("failed", "fallbacks")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: what its fields say, what that means, and what is wrong with it."""

    fields: Mapping[str, str]
    wanted: Wanted
    wrong: tuple[str, ...] = ()
    after: str | None = None

    def older(self, after: str) -> str:
        """The address of what comes behind an id."""
        given = {name: value for name, value in self.fields.items() if value}
        return f"/dashboard/requests?{urlencode(given | {'after': after})}"


@get("/dashboard/requests")
async def page(request: Plain) -> Response[Any]:
    visitor = await visitor_of(request)
    asked = understood(request.query_params, visitor)
    catalog = visitor.gateway.routes.catalog
    values = {
        "visitor": visitor,
        "page": "requests",
        "asked": asked,
        "models": sorted(catalog.models),
        "providers": sorted(catalog.providers),
        "statuses": STATUSES,
    }

    async def find() -> dict[str, object]:
        async with visitor.gateway.reading.connect() as connection:
            found = await _search(connection, asked)
            names = await searching.names_of(connection, [row["key_hash"] for row in found.rows])
        return _told(asked, found, names)

    if asked.wrong:
        return html("requests.html", values | {"part": ""}, 400)
    if "hx-request" in request.headers:
        return html("requests_rows.html", values | await find())
    return await flowing(request, ("requests.html", "requests_log.html"), values, find)


def _told(asked: Asked, found: Page, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "found": found,
        "names": names,
        "looked_to": None if found.after is None else moment_of(found.after),
        "older": None if found.after is None else asked.older(found.after),
    }


async def _search(connection: AsyncConnection, asked: Asked) -> Page:
    wanted = asked.wanted
    if key := asked.fields["key"]:
        wanted = replace(wanted, keys=await searching.keys_named(connection, key))
        if not wanted.keys:
            return Page([])
    return await searching.search(connection, wanted, asked.after, ROWS)


def understood(query: Mapping[str, str], visitor: Visitor) -> Asked:
    """What the fields mean; whatever cannot be meant is told, and nothing is looked for."""
    fields = {name: query.get(name, "").strip() for name in (*TEXTS, *CHECKS)}
    after = query.get("after")
    wrong = [
        f"{name}: at most {LONGEST} letters, and none that cannot be seen"
        for name, value in (*fields.items(), ("after", after or ""))
        if len(value) > LONGEST or not value.isprintable()
    ]
    if not visitor.manages:
        fields["key"] = ""
    start, end = (_moment(fields[name], name, wrong) for name in ("from", "to"))
    if start is not None and end is not None and start >= end:
        wrong.append("to: the time ends before it begins")
    if fields["status"] and _status(fields["status"]) is None:
        wrong.append("status: one of " + ", ".join(STATUSES))
    of_key, of_project = visitor.caller.sees
    wanted = Wanted(
        of_key=of_key,
        of_project=of_project,
        start_ms=start,
        end_ms=end,
        model=fields["model"] or None,
        provider=fields["provider"] or None,
        status=_status(fields["status"]),
        error_type=fields["error"] or None,
        app=fields["app"] or None,
        named=fields["q"] or None,
        failed=bool(fields["failed"]),
        fallen_back=bool(fields["fallbacks"]),
    )
    return Asked(fields, wanted, tuple(wrong), after)


def moment_of(id_: str) -> int | None:
    """The epoch ms that an id begins with."""
    parts = id_.split("-")
    is_known = len(parts) > 3 and parts[2].isascii() and parts[2].isdigit()  # noqa: PLR2004  # gen-tts-MS-...
    return min(int(parts[2]), LATEST_MS) if is_known else None


def _status(given: str) -> Status | None:
    return next((each for each in get_args(Status) if each == given), None)


def _moment(given: str, name: str, wrong: list[str]) -> int | None:
    """Epoch ms of a form's time, which is UTC."""
    if not given:
        return None
    try:
        at = datetime.fromisoformat(given)
        at_ms = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        wrong.append(f"{name}: give a time as 2026-11-22T14:30")
        return None
    return min(max(0, round(at_ms)), LATEST_MS)

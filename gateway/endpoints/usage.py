"""`GET /usage`: what was used by hour, day or month, and by key, model, task and the like."""

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.params import QueryParameter

from gateway.endpoints.paths import both
from gateway.endpoints.state import gateway_of
from gateway.errors import InvalidRequest
from gateway.metering.prices import usd
from gateway.metering.scopes import DAY_MS, HOUR_MS
from gateway.metering.usage import Bucket, Group, Member, Series, Use, Window, series

DEFAULT_DAYS = 30
LAST_MS = 253_402_300_800_000  # the year 10000
FIELDS = ("requests", "characters", "cost", "audio_seconds", "errors", "fallbacks", "cache_hits")


@get(both("/usage"))
async def usage(  # noqa: PLR0913, PLR0917  # the query's fields
    request: Request[Any, Any, Any],
    start: Annotated[str | None, QueryParameter(name="from")] = None,
    to: str | None = None,
    bucket: Bucket = "day",
    group_by: Group | None = None,
    form: Annotated[Literal["json", "csv"], QueryParameter(name="format")] = "json",
) -> Response[Any]:
    """The calling key's use; a reading key sees its project's, a management key all.

    Counted are the whole UTC hours that begin within [from, to); the answer's `from` and `to` say
    which. A bucket at either end holds those of its hours. `total` is the sum of the rows.
    """
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    window = window_of(start, to, *caller.sees)
    async with gateway.reading.connect() as connection:
        used = await series(connection, window, bucket, group_by)
    told = Told.of(used, window, group_by)
    if form == "csv":
        return Response(told.csv(), media_type="text/csv")
    return Response(told.json())


def window_of(
    start: str | None, to: str | None, key_hash: str | None, project: str | None = None
) -> Window:
    """The hours that were asked for; the last thirty days when nothing was."""
    end_ms = moment(to, "to")
    if end_ms is None:
        end_ms = int(time.time() * 1000) + 1
    start_ms = moment(start, "from")
    if start_ms is None:
        start_ms = max(0, end_ms - DEFAULT_DAYS * DAY_MS)
    if end_ms < start_ms:
        raise InvalidRequest("to: it is before from", param="to")
    return Window(_next_hour(start_ms), _next_hour(end_ms), key_hash, project)


@dataclass(frozen=True, slots=True)
class Told:
    """A series in words: rows of JSON or CSV, and what they add up to."""

    window: Window
    names: tuple[str, ...]
    """Of a row's values."""
    rows: Sequence[dict[str, Any]]
    total: dict[str, Any]

    @classmethod
    def of(cls, used: Series, window: Window, group_by: Group | None) -> "Told":
        total = Use()
        for use in used.values():
            total.add(use)
        rows = [
            {"start": iso(at), **_group(member, group_by), **_counted(use)}
            for (at, member), use in used.items()
        ]
        names = ("start", *_group(Member(), group_by), *FIELDS)
        return cls(window, names, rows, _counted(total))

    def json(self) -> dict[str, Any]:
        counted = {"from": iso(self.window.start_ms), "to": iso(self.window.end_ms)}
        return {"object": "list", "data": self.rows, "total": self.total, **counted}

    def csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.names)
        writer.writeheader()
        writer.writerows({n: _safe(value) for n, value in row.items()} for row in self.rows)
        return text.getvalue()


def iso(at_ms: int) -> str:
    # The year 10000, where the last window ends, is no datetime.
    return datetime.fromtimestamp(min(at_ms, LAST_MS - 1000) / 1000, UTC).isoformat()


def _group(member: Member, group_by: Group | None) -> dict[str, str | None]:
    """Two keys may have one name, so a key's id stands beside it."""
    if group_by is None:
        return {}
    of_key = {"key_hash": member.key_hash} if group_by == "key" else {}
    return {group_by: member.name, **of_key}


def _counted(use: Use) -> dict[str, Any]:
    return {
        "requests": use.requests,
        "characters": use.characters,
        "cost": usd(use.cost_nano),
        "audio_seconds": use.audio_ms / 1000,
        "errors": use.errors,
        "fallbacks": use.fallbacks,
        "cache_hits": use.cache_hits,
    }


def _safe(value: object) -> object:
    """A spreadsheet must not take a name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def moment(text: str | None, field: str) -> int | None:
    """An ISO date or time (UTC unless it says otherwise), or epoch seconds -> epoch ms."""
    if text is None:
        return None
    if text.isdecimal() and 9 <= len(text) <= 12:  # noqa: PLR2004  # a year has four digits, a date eight
        at_ms = int(text) * 1000
    else:
        at_ms = _from_iso(text, field)
    if not 0 <= at_ms < LAST_MS:
        raise InvalidRequest(f"{field}: give a time from 1970 to 9999", param=field)
    return at_ms


def _from_iso(text: str, field: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        wrong = f"{field}: {text[:40]!r} is neither an ISO 8601 time nor epoch seconds"
        raise InvalidRequest(wrong, param=field) from None


def _next_hour(at_ms: int) -> int:
    return -(-at_ms // HOUR_MS) * HOUR_MS

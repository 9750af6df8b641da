"""`GET /usage`: what was used, by hour, day or month, by key, model, provider or app."""

import csv
import io
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.params import Parameter

from gateway.endpoints.paths import both
from gateway.endpoints.state import gateway_of
from gateway.errors import InvalidRequest
from gateway.metering import usage as metering
from gateway.metering.prices import usd

DEFAULT_DAYS = 30
Group = Literal["key", "model", "provider", "app", "project"]
FIELDS = ("requests", "characters", "cost", "audio_seconds", "errors", "fallbacks", "cache_hits")


@get(both("/usage"))
async def usage(  # noqa: PLR0913, PLR0917  # the query's fields
    request: Request[Any, Any, Any],
    start: Annotated[str | None, Parameter(query="from")] = None,
    to: str | None = None,
    bucket: metering.Bucket = "day",
    group_by: Group | None = None,
    form: Annotated[Literal["json", "csv"], Parameter(query="format")] = "json",
) -> Response[Any]:
    """The calling key's use; a reading key sees its project's, a management key all."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    now, (of_key, of_project) = int(time.time() * 1000), caller.sees
    window = metering.Window(
        start_ms=_moment(start, "from") or now - DEFAULT_DAYS * metering.DAY_MS,
        end_ms=_moment(to, "to") or now + 1,
        key_hash=of_key,
        project=of_project,
    )
    async with gateway.reading.connect() as connection:
        used = await metering.series(connection, window, bucket, group_by)
    total = metering.Use()
    rows = []
    for (at, name), use in used.items():
        total.add(use)
        group: dict[str, str | None] = {group_by: name} if group_by else {}
        begins = datetime.fromtimestamp(at / 1000, UTC).isoformat()
        rows.append({"start": begins, **group, **_told(use)})
    if form == "csv":
        return Response(_csv(rows, group_by), media_type="text/csv")
    return Response({"object": "list", "data": rows, "total": _told(total)})


def _told(use: metering.Use) -> dict[str, Any]:
    return {
        "requests": use.requests,
        "characters": use.characters,
        "cost": usd(use.cost_nano),
        "audio_seconds": use.audio_ms / 1000,
        "errors": use.errors,
        "fallbacks": use.fallbacks,
        "cache_hits": use.cache_hits,
    }


def _csv(rows: list[dict[str, Any]], group_by: str | None) -> str:
    text = io.StringIO()
    names = ["start", *([group_by] if group_by else []), *FIELDS]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _safe(value: object) -> object:
    """A spreadsheet must not take a name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def _moment(text: str | None, field: str) -> int | None:
    """An ISO date or time (UTC unless it says otherwise), or epoch seconds -> epoch ms."""
    if text is None:
        return None
    if text.isdecimal() and len(text) >= 9:  # noqa: PLR2004  # a year has four digits, a date eight
        return int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"{field}: {text[:40]!r} is neither an ISO 8601 time nor epoch seconds"
        raise InvalidRequest(wrong, param=field) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

"""`GET /credits` and `GET /activity`, in OpenRouter's shapes."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.params import QueryParameter

from gateway.access.keys import MANAGE, Caller
from gateway.endpoints.paths import both
from gateway.endpoints.state import gateway_of
from gateway.errors import Forbidden, InvalidRequest
from gateway.metering.prices import NANO_PER_USD, usd
from gateway.metering.scopes import DAY_MS
from gateway.metering.spending import Activity, activity_of, credits_of

ACTIVITY_DAYS = 30
WORKSPACE = "default"
Plain = Request[Any, Any, Any]


@get(both("/credits"))
async def credits_(request: Plain) -> dict[str, Any]:
    """What may be spent in all, and what was: everybody's to a management key, else the key's own.

    `total_credits` is the limit over the whole life: of a key; or the lower of the global limit
    and the organisations' together. Where there is none it is what was used: nothing is owed, and
    nothing was bought ahead.
    """
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    async with gateway.reading.connect() as connection:
        found = await credits_of(connection, _own(caller))
    total, used = found.total_nano / NANO_PER_USD, found.used_nano / NANO_PER_USD
    return {"data": {"total_credits": total, "total_usage": used}}


@get(both("/activity"))
async def activity(
    request: Plain,
    date: str | None = None,
    api_key_hash: str | None = None,
    group_by: Annotated[Literal["workspace"] | None, QueryParameter()] = None,
) -> dict[str, Any]:
    """The last thirty complete UTC days by model and provider, newest first.

    A management key sees every key's, another its own.
    """
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    own = _own(caller)
    if own is not None and api_key_hash not in {None, own}:
        raise Forbidden("api_key_hash: this API key may see its own activity only")
    if api_key_hash is not None and not api_key_hash.isprintable():
        raise InvalidRequest("api_key_hash: give a key's hash", param="api_key_hash")
    start_ms, end_ms = days(date, int(time.time() * 1000))
    async with gateway.reading.connect() as connection:
        found = await activity_of(connection, start_ms, end_ms, own or api_key_hash)
    beside = {"workspace_id": WORKSPACE} if group_by else {}
    return {"data": [_told(each) | beside for each in found]}


def days(date: str | None, now_ms: int) -> tuple[int, int]:
    """From when and until when the days that were asked for are, in epoch ms."""
    end = now_ms - now_ms % DAY_MS
    start = end - ACTIVITY_DAYS * DAY_MS
    if date is None:
        return start, end
    try:
        at = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(f"date: {date[:40]!r} is no YYYY-MM-DD", param="date") from None
    wanted = int(at.timestamp() * 1000)
    if not start <= wanted < end:
        first, last = _date(start), _date(end - DAY_MS)
        raise InvalidRequest(f"date: give a complete day, {first} to {last}", param="date")
    return wanted, wanted + DAY_MS


def _own(caller: Caller) -> str | None:
    return None if MANAGE in caller.scopes else caller.key_hash


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _told(each: Activity) -> dict[str, Any]:
    """Characters stand where OpenRouter counts tokens, as they do in a generation."""
    return {
        "date": _date(each.start_ms),
        "model": each.model,
        "model_permaslug": each.model,
        "endpoint_id": f"{each.provider}:{each.model}" if each.model else each.provider,
        "provider_name": each.provider,
        "usage": each.use.cost_nano / NANO_PER_USD,
        "byok_usage_inference": 0,
        "requests": each.use.requests,
        "prompt_tokens": each.use.characters,
        "completion_tokens": 0,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
        "characters": each.use.characters,
        "cost": usd(each.use.cost_nano),
    }

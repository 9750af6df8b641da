"""`GET /generation`, `/generations`: the record of each request, in OpenRouter's shape and ours."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter
from sqlalchemy import RowMapping

from gateway.endpoints.amounts import iso
from gateway.endpoints.paths import both
from gateway.endpoints.state import gateway_of
from gateway.errors import InvalidRequest, NotFound
from gateway.metering import records
from gateway.metering.prices import NANO_PER_USD, usd

Plain = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


@get(both("/generation"))
async def generation(
    request: Plain, generation_id: Annotated[str, QueryParameter(name="id")] = ""
) -> dict[str, Any]:
    """One record, by `?id=`."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    if not generation_id:
        raise InvalidRequest("id: give a generation's id, ?id=gen-tts-...", param="id")
    async with gateway.reading.connect() as connection:
        found = await records.generation_record(connection, generation_id)
    if found is None or not caller.may_see(found[0]["key_hash"], found[0]["project"]):
        raise NotFound(f"there is no generation {generation_id[:80]!r}", param="id")
    return {"data": record(*found)}


@get(both("/generations"))
async def generations(
    request: Plain, after: str | None = None, limit: Limit = 20
) -> dict[str, Any]:
    """The key's records, newest first; a reading key sees its project's, a management key all."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    of_key, of_project = caller.sees
    async with gateway.reading.connect() as connection:
        ids = await records.generation_ids(connection, of_key, after, limit + 1, project=of_project)
        found = [await records.generation_record(connection, each) for each in ids[:limit]]
    data = [record(*each) for each in found if each is not None]
    return {"object": "list", "data": data, "has_more": len(ids) > limit}


def record(row: RowMapping, attempts: Sequence[RowMapping]) -> dict[str, Any]:
    """A generation as OpenRouter tells it, with our own fields beside (design.md section 10).

    `usage` and `total_cost` are what the key was charged, which their SDK wants as a number;
    `cost` and `liability` are null where the price is not known.
    """
    charged = row["cost_nano"] / NANO_PER_USD
    owed = None if any(_is_open(each) for each in attempts) else row["liability_nano"]
    flags = (row["flags"] or "").split()
    is_known = "unpriced" not in flags or row["status"] == "voided"
    told = dict.fromkeys(_NEVER_KNOWN) | {
        "id": row["id"],
        "request_id": row["request_id"],
        "upstream_id": row["upstream_id"],
        "api_type": "tts",
        "created_at": iso(row["created_ms"]),
        "model": row["model"] or row["requested_model"],
        "provider_name": row["provider"],
        "data_region": "global",
        "is_byok": False,
        "origin": row["referer"] or "",
        "http_referer": row["referer"],
        "user_agent": row["user_agent"],
        "session_id": row["session_id"],
        "external_user": row["user"],
        "streamed": row["streamed"],
        "cancelled": row["cancelled"],
        "finish_reason": "stop" if row["status"] == "settled" else row["error_type"],
        "latency": row["first_audio_ms"],
        "generation_time": row["duration_ms"],
        "tokens_prompt": row["characters"],
        "native_tokens_prompt": row["characters"],
        "usage": charged,
        "total_cost": charged,
        "upstream_inference_cost": None if owed is None else owed / NANO_PER_USD,
        "provider_responses": [_response(each, row["created_ms"]) for each in attempts],
    }
    ours = {
        "status": row["status"],
        "status_note": _NOTES.get(row["status"]),
        "flags": flags,
        "http_status": row["http_status"],
        "error_type": row["error_type"],
        "characters": row["charged_characters"],
        "characters_charged": row["charged_characters"],
        "input_characters": row["characters"],
        "cost": usd(row["cost_nano"]) if is_known else None,
        "held": usd(row["hold_nano"]) if row["status"] == "held" else "0",
        "liability": None if owed is None else usd(owed),
        "audio_seconds": row["audio_ms"] / 1000,
        "cut_at_seconds": row["audio_ms"] / 1000 if "cut" in flags else None,
        "voice": row["voice"],
        "format": row["format"],
        "requested_model": row["requested_model"],
        "first_audio_ms": row["first_audio_ms"],
        "duration_ms": row["duration_ms"],
        "fallbacks": row["fallbacks"],
        "cache_hit": row["cache_hit"],
        "app": row["app"],
        "trace_id": row["trace_id"],
        "key": row["key_hash"],
        "plan": msgspec.json.decode(row["plan"]),
        "timings": row["timings"] and msgspec.json.decode(row["timings"]),
    }
    return told | ours


def _response(attempt: RowMapping, created_ms: int) -> dict[str, Any]:
    """An attempt; `credential` is the name of the variable that holds the key, never the key."""
    return {
        "provider_name": attempt["provider"],
        "model_permaslug": attempt["model"],
        "status": attempt["http_status"],
        "latency": attempt["latency_ms"],
        "first_audio_ms": attempt["first_audio_ms"],
        "error_type": attempt["error_type"],
        "outcome": attempt["outcome"],
        "kind": attempt["kind"],
        "credential": attempt["credential"],
        "voice": attempt["voice"],
        "from_character": attempt["from_character"],
        "audio_seconds": attempt["audio_ms"] / 1000,
        "started_at": iso(attempt["started_ms"]),
        "started_after_ms": max(0, attempt["started_ms"] - created_ms),
        "id": attempt["upstream_id"] or "",
        "is_byok": False,
        "bound": None if attempt["bound_nano"] is None else usd(attempt["bound_nano"]),
        "liability": None if _is_open(attempt) else usd(attempt["liability_nano"]),
        "billed_units": attempt["billed_units"],
        "price": attempt["price"],
        "price_terms": attempt["terms"] and msgspec.json.decode(attempt["terms"]),
    }


def _is_open(attempt: RowMapping) -> bool:
    """Whether nobody knows what the provider may want: an unknown price is never 0."""
    return attempt["bound_nano"] is None and attempt["liability_nano"] == 0


_NOTES = {
    "held": "it still runs, or its end is not written down yet",
    "unknown": "its gateway ended before it did: the most that it can cost stays counted, and no "
    "characters, until its end is known",
}
# Fields that OpenRouter's SDK wants to find and that speech has nothing to say in.
_NEVER_KNOWN = (
    "app_id",
    "cache_discount",
    "moderation_latency",
    "native_finish_reason",
    "native_tokens_cached",
    "native_tokens_completion",
    "native_tokens_completion_images",
    "native_tokens_reasoning",
    "num_fetches",
    "num_input_audio_prompt",
    "num_media_completion",
    "num_media_prompt",
    "num_search_results",
    "preset_id",
    "response_cache_source_id",
    "router",
    "service_tier",
    "tokens_completion",
    "web_search_engine",
    "workspace_id",
)

"""One request: its waterfall, why it went where it went, its money, and what is kept of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.response import Redirect
from sqlalchemy import RowMapping

from gateway.dashboard.answered import NOT_KEPT, headers_of
from gateway.dashboard.rendering import HEADERS, html
from gateway.dashboard.visitor import Plain, Visitor, visitor_of
from gateway.dashboard.waterfall import bars_of, draw
from gateway.endpoints.contents import (
    check_seen,
    forgotten,
    kept_of,
    may_forget,
    played,
)
from gateway.errors import NotFound
from gateway.kept.whole import as_wav
from gateway.metering import contents, records

Told = dict[str, Any]
MOST_PLAYED_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """All that is written down of one request."""

    row: RowMapping
    attempts: Sequence[RowMapping]
    entries: Sequence[RowMapping]
    key_name: str

    @property
    def timings(self) -> Mapping[str, Any] | None:
        stored = self.row["timings"]
        return None if stored is None else msgspec.json.decode(stored, type=dict[str, Any])

    @property
    def left_out(self) -> tuple[list[Told], list[Told]]:
        """Offers that were left out for a reason of this request, and those that are off."""
        excluded: list[Told] = list(self.plan.get("excluded", ()))
        off = [each for each in excluded if each.get("reason") == "off"]
        return [each for each in excluded if each not in off], off

    @property
    def plan(self) -> Mapping[str, Any]:
        return msgspec.json.decode(self.row["plan"], type=dict[str, Any])


@get("/dashboard/requests/{generation_id:str}")
async def page(request: Plain, generation_id: str) -> Response[str]:
    visitor = await visitor_of(request)
    found = await _found(visitor, generation_id)
    return html("request.html", await _told(visitor, found))


@get("/dashboard/requests/{generation_id:str}/audio")
async def audio(request: Plain, generation_id: str) -> Response[Any]:
    """The kept clip: as it was answered to download, as a browser can play it to listen."""
    visitor = await visitor_of(request)
    gateway = visitor.gateway
    await check_seen(gateway, visitor.caller, generation_id)
    if "download" not in request.query_params:
        return await _to_listen(visitor, generation_id, request.headers)
    answer = await played(gateway, generation_id, request.headers)
    ending = request.query_params["download"]
    name = f"{generation_id}.{ending}" if ending.isalnum() else generation_id
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@post("/dashboard/requests/{generation_id:str}/forget", status_code=303)
async def forget(request: Plain, generation_id: str) -> Redirect:
    """Delete what is kept of it."""
    visitor = await visitor_of(request)
    await forgotten(visitor.gateway, visitor.caller, generation_id)
    place = f"/dashboard/requests/{generation_id}#kept"
    return Redirect(place, status_code=303, headers=HEADERS)


async def _to_listen(
    visitor: Visitor, generation_id: str, headers: Mapping[str, str]
) -> Response[Any]:
    """Bare samples get a head: no browser plays them as they are."""
    kept = visitor.gateway.kept
    clip = await kept.find(generation_id)
    if clip is None or clip.label.sound.format != "pcm":
        if clip is not None:
            clip.close()
        return await played(visitor.gateway, generation_id, headers)
    clip.close()
    wav = await as_wav(kept, generation_id, MOST_PLAYED_BYTES)
    if wav is None:
        raise NotFound("its audio cannot be read")
    return Response(wav, media_type="audio/wav", headers={"Cache-Control": "no-store"})


async def _found(visitor: Visitor, generation_id: str) -> Found:
    async with visitor.gateway.reading.connect() as connection:
        known = await records.generation_record(connection, generation_id)
        if known is None or not visitor.caller.may_see(known[0]["key_hash"], known[0]["project"]):
            raise NotFound("There is no such request, or it is not one that this key may see.")
        row, attempts = known
        entries = await contents.entries_of(connection, generation_id)
        name = await contents.key_named(connection, row["key_hash"])
    return Found(row, attempts, entries, name)


async def _told(visitor: Visitor, found: Found) -> Told:
    row, timings = found.row, found.timings
    text, clip = await kept_of(visitor.gateway, row["id"])
    if clip is not None:
        clip.close()
    sound = clip.label.sound if clip else None
    bars, (left_out, off) = bars_of(row, found.attempts, timings), found.left_out
    url = visitor.gateway.trace_url
    return {
        "visitor": visitor,
        "page": "requests",
        "row": row,
        "attempts": found.attempts,
        "entries": found.entries,
        "key_name": found.key_name,
        "plan": found.plan,
        "left_out": left_out,
        "off": off,
        "flags": (row["flags"] or "").split(),
        "is_measured": timings is not None,
        "drawing": draw(bars),
        "headers": headers_of(row, found.attempts, timings, sound),
        "not_kept": NOT_KEPT,
        "trace_url": url.replace("{trace_id}", row["trace_id"]) if url else None,
        "text": text,
        "clip": clip,
        "clip_ends_ms": None if clip is None else round(clip.ends * 1000),
        "may_forget": may_forget(visitor.caller, row["key_hash"]),
    }

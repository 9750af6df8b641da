"""`/generations/{id}/audio` and `/content`: what is kept of a request, heard, read and deleted."""

import re
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, delete, get
from litestar.response import Stream

from gateway.access.keys import MANAGE, Caller
from gateway.audio.formats import content_type
from gateway.endpoints.amounts import iso
from gateway.endpoints.paths import both
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import Forbidden, GatewayError, NotFound
from gateway.kept.folder import Clip
from gateway.metering.contents import StoredText, stored_text
from gateway.metering.operations import Forget
from gateway.metering.records import owner_of

Plain = Request[Any, Any, Any]
_RANGE = re.compile(r"bytes=(\d{1,12})?-(\d{1,12})?")


@get(both("/generations/{generation_id:str}/audio"))
async def audio(request: Plain, generation_id: str) -> Response[Any]:
    """The audio, while it is kept."""
    gateway, _ = await _seen(request, generation_id)
    return await played(gateway, generation_id, request.headers)


@get(both("/generations/{generation_id:str}/content"))
async def content(request: Plain, generation_id: str) -> dict[str, Any]:
    """What is kept: the text itself, and until when there is audio."""
    gateway, _ = await _seen(request, generation_id)
    kept, clip = await kept_of(gateway, generation_id)
    told: dict[str, Any] = {"id": generation_id, "text": None, "audio": None}
    if kept is not None:
        told["text"] = {"text": kept.text, "expires_at": iso(kept.expires_ms)}
    if clip is not None:
        clip.close()
        told["audio"] = {
            "format": clip.label.sound.format,
            "bytes": clip.size,
            "expires_at": iso(round(clip.ends * 1000)),
        }
    return {"data": told}


@delete(both("/generations/{generation_id:str}/content"), status_code=200)
async def forget(request: Plain, generation_id: str) -> dict[str, Any]:
    """Delete the text and the audio at once; the record stays."""
    gateway, caller = await _seen(request, generation_id)
    await forgotten(gateway, caller, generation_id)
    return {"data": {"id": generation_id, "deleted": True}}


async def kept_of(gateway: Gateway, generation_id: str) -> tuple[StoredText | None, Clip | None]:
    """The text and the opened clip, where they are kept."""
    async with gateway.reading.connect() as connection:
        kept = await stored_text(connection, generation_id)
    return kept, await gateway.kept.find(generation_id)


async def check_seen(gateway: Gateway, caller: Caller, generation_id: str) -> str:
    """The key whose request it is; NotFound where the caller may not see it."""
    async with gateway.reading.connect() as connection:
        owner = await owner_of(connection, generation_id)
    if owner is None or not caller.may_see(*owner):
        raise NotFound(f"there is no generation {generation_id[:80]!r}", param="id")
    return owner[0]


async def forgotten(gateway: Gateway, caller: Caller, generation_id: str) -> None:
    """Delete what is kept of a request, which its own key and a management key may do."""
    owner = await check_seen(gateway, caller, generation_id)
    if not may_forget(caller, owner):
        raise Forbidden("this API key may not delete what another key's request left")
    await gateway.writer.submit(Forget(generation_id, caller.key_hash))
    try:
        await gateway.kept.forget(generation_id)
    except OSError as error:
        raise GatewayError(f"its audio cannot be deleted now: {error.strerror}") from None


def may_forget(caller: Caller, owner: str) -> bool:
    return MANAGE in caller.scopes or caller.key_hash == owner


async def played(gateway: Gateway, generation_id: str, headers: Mapping[str, str]) -> Response[Any]:
    """A kept clip as it was answered, or the range of it that a player asks for."""
    clip = await gateway.kept.find(generation_id)
    if clip is None:
        raise NotFound(f"the audio of {generation_id[:80]!r} is not kept", param="id")
    told = {
        "Content-Type": content_type(clip.label.sound),
        "Cache-Control": "no-store",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    wanted = headers.get("range")
    span = (0, clip.size) if wanted is None else span_of(wanted, clip.size)
    if span is None:
        clip.close()
        told["Content-Range"] = f"bytes */{clip.size}"
        return Response(b"", status_code=416, headers=told)
    start, end = span
    told["Content-Length"] = str(end - start)
    if wanted is not None:
        told["Content-Range"] = f"bytes {start}-{end - 1}/{clip.size}"
    status = 200 if wanted is None else 206
    return Stream(clip.chunks(start, end - start), status_code=status, headers=told)


def span_of(wanted: str, size: int) -> tuple[int, int] | None:
    """The bytes of one range, from and before (RFC 9110 section 14); None: there are none."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None:
        return 0, size  # what is not understood is not heeded
    first, last = found.groups()
    if first is None:
        start, end = max(0, size - int(last or 0)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
    return (start, end) if start < end else None


async def _seen(request: Plain, generation_id: str) -> tuple[Gateway, Caller]:
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    await check_seen(gateway, caller, generation_id)
    return gateway, caller

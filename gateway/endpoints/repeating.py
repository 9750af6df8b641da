"""`Idempotency-Key`: what a request claims by it, and the answer when it was answered before."""

import asyncio
import re
import time
from typing import Any

import msgspec
from litestar import Request

from gateway.access.pepper import keyed_digest
from gateway.dispatch.outlet import Head
from gateway.endpoints.answers import identity, request_id
from gateway.endpoints.decoding import wrong
from gateway.endpoints.reply import SpeechReply, watch
from gateway.endpoints.state import Gateway
from gateway.errors import Gone
from gateway.kept.folder import Clip
from gateway.metering.operations import Claim

HEADER = "Idempotency-Key"
_TOKEN = re.compile(r"[\x20-\x7e]{1,255}")


def claim_of(
    request: Request[Any, Any, Any], content: bytes, base: str, gateway: Gateway
) -> Claim | None:
    """The claim of a request that may come again; its body counts by what it says.

    base: the base path, whose habits change the answer to the same body.
    """
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    if len(given) > 1 or not _TOKEN.fullmatch(given[0]):
        raise wrong(HEADER, "must be given once, with 1 to 255 printable ASCII characters")
    said = keyed_digest(gateway.pepper, base.encode() + b"\n" + _canonical(content))
    return Claim(given[0], said, gateway.kept.lifetime_ms)


def _canonical(content: bytes) -> bytes:
    """Neither the order of names nor white space says anything."""
    try:
        return msgspec.json.encode(msgspec.json.decode(content), order="sorted")
    except (msgspec.DecodeError, RecursionError):  # fields that nobody reads may hold anything
        return content


async def replay(
    request: Request[Any, Any, Any],
    gateway: Gateway,
    generation_id: str,
    sse_characters: int | None,
) -> SpeechReply:
    """The kept answer once more; Gone where there is none."""
    began = time.monotonic()
    trace = gateway.tracing.begin("POST /audio/speech", request.headers, identity(request).trace_id)
    headers = [
        ("X-Generation-Id", generation_id),
        ("X-Request-Id", request_id(request)),
        ("traceparent", trace.traceparent),
    ]
    request.scope["state"]["generation_headers"] = headers
    clip = await gateway.kept.find(generation_id)
    error = None if clip is not None else Gone.error_type
    trace.end([], {"gen_ai.response.id": generation_id, "voxroute.replayed": True}, error)
    if clip is None:
        raise Gone(
            f"{HEADER}: its request was answered and charged once, and its audio is not kept here",
            param=HEADER,
            generation_id=generation_id,
        )
    head = _head(clip, (time.monotonic() - began) * 1000)
    outlet = gateway.supervisor.replay(clip, head)
    watching = asyncio.create_task(watch(request.receive, outlet))
    return SpeechReply(outlet, head, headers, watching, sse_characters)


def _head(clip: Clip, found_ms: float) -> Head:
    """The first answer's head; what it took is this one's own."""
    label = clip.label
    return Head(
        provider=label.provider,
        model=label.model,
        voice=label.voice,
        attempts=label.attempts,
        sound=label.sound,
        timings=(("first-audio", found_ms),),
        replayed=True,
    )

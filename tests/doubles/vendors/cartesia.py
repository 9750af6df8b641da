"""Cartesia as its SDK 4.2.0 finds it: bare audio or events, and errors even after a good head."""

import base64
import json

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

KINDS = {"mp3": "audio/mpeg", "raw": "application/octet-stream", "wav": "audio/wav"}


def told(code: str | None, **more: object) -> dict[str, object]:
    return {"error_code": code, "title": "No", "message": "not so", "request_id": "ca-1", **more}


def event(kind: str, **more: object) -> bytes:
    data = json.dumps({"type": kind, "done": kind == "done", "status_code": 206, **more})
    return f"event: {kind}\ndata: {data}\n\n".encode()


def chunk(audio: bytes) -> bytes:
    return event("chunk", data=base64.b64encode(audio).decode(), step_time=1.0)


ERRORS = {
    "bad key": Refusal(401, told("invalid_api_key")),
    "no credit": Refusal(402, told("quota_exceeded")),
    "no voice": Refusal(404, told("voice_not_found")),
    "bad field": Refusal(400, told(None)),
    "bad field, old": Refusal(400, "Bad request: no such field", kind="text/plain"),
    "at once": Refusal(429, told("concurrency_limited")),
    "too often": Refusal(429, told(None), {"retry-after": "3"}),
    "broken": Refusal(500, told(None)),
    "away": Refusal(503, "", {"retry-after": "2"}),
}
NOISE = chunk(spoken("pcm")[:1500])
DONE = event("done")
EVENTS = {
    "late limit": [event("error", **told("concurrency_limited", status_code=429))],
    "late trouble": [event("error", **told(None, status_code=500))],
    "late refusal": [event("error", **told(None, status_code=400))],
    "late riddle": [event("error")],
    "trouble in the middle": [NOISE, event("error", **told("quota_exceeded", status_code=402))],
    "stops short": [NOISE],
    "nothing": [DONE],
    "no events": [],
    "not base64": [event("chunk", data="###"), DONE],
    "not JSON": [b"data: {oh no\n\n"],
    "a line without end": [b"data: " + b"A" * 2**20] * 17,
    "an event without end": [b"data: " + b"A" * 2**20 + b"\n"] * 17,
}
"""What the answer says after its good head."""


def _refused(fake: Fake, request: web.Request, body: dict[str, object]) -> web.Response | None:
    if "cartesia-version" not in request.headers:
        return web.json_response(told("version_missing"), status=400)
    return fake.refused(str(body["transcript"]))


def routes(fake: Fake) -> list[web.RouteDef]:
    async def bare(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refusal := _refused(fake, request, body):
            return refusal
        container = body["output_format"]["container"]
        audio = spoken("pcm" if container == "raw" else container)
        return await fake.stream(request, cut(audio), KINDS[container])

    async def in_events(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refusal := _refused(fake, request, body):
            return refusal
        if body["output_format"]["container"] != "raw":
            return web.json_response(told("invalid_output_format"), status=400)
        words = {"words": ["Hello"], "start": [0.0], "end": [0.5]}
        first, *rest = [chunk(piece) for piece in cut(spoken("pcm"))]
        good = [first, event("timestamps", word_timestamps=words), *rest, DONE]
        pieces = EVENTS.get(body["transcript"], good)
        return await fake.stream(request, pieces, "text/event-stream", x_request_id="ca-1")

    return [web.post("/tts/bytes", bare), web.post("/tts/sse", in_events)]


CARTESIA = Vendor(routes, ERRORS)

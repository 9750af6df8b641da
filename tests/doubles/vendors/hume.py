"""Hume as its SDK 0.14.1 finds it: lines of JSON, each with a chunk of the audio or a time."""

import base64
import json

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken


def told(code: str) -> dict[str, object]:
    return {"code": code, "error": "Not possible", "message": "no"}


ERRORS = {
    "bad key": Refusal(401, {"error": "Invalid authentication", "message": "no"}),
    "no credit": Refusal(402, told("E0300")),
    "no voice": Refusal(404, told("voice_not_found")),
    "bad field": Refusal(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]}),
    "too long": Refusal(400, told("E0715")),
    "at once": Refusal(429, told("E0701")),
    "too often": Refusal(429, told("E0701"), {"retry-after": "3"}),
    "broken": Refusal(500, "oh no", kind="text/plain"),
    "away": Refusal(503, told("E0001"), {"retry-after": "2"}),
}


def line(**told: object) -> bytes:
    return json.dumps(told).encode() + b"\n"


def chunk(audio: bytes, form: str, index: int = 0, *, is_last: bool = False) -> bytes:
    return line(
        type="audio",
        audio=base64.b64encode(audio).decode(),
        audio_format=form,
        chunk_index=index,
        generation_id="hume-gen-1",
        is_last_chunk=is_last,
        request_id="hume-req-1",
        snippet_id="hume-snip-1",
        text="Hello",
        utterance_index=0,
    )


TIME = {"text": "Hello", "type": "word", "time": {"begin": 0, "end": 400}}
TIMED = line(type="timestamp", generation_id="hume-gen-1", request_id="r", timestamp=TIME)
NOISE = chunk(spoken("pcm")[:1500], "pcm")
LINES = {
    "late limit": [line(error={"code": "rate_limit_exceeded"})],
    "late trouble": [line(type="error", code=500, message="no")],
    "late riddle": [line(type="error", message="no")],
    "trouble in the middle": [NOISE, line(type="error", code=402, message="no")],
    "nothing": [TIMED],
    "no lines": [],
    "no audio in it": [line(type="audio", audio=None, generation_id="x")],
    "not base64": [line(type="audio", audio="###", generation_id="x")],
    "not JSON": [b"<html>\n"],
    "a line without end": [b"A" * 2**20] * 17,
}
"""What the answer says after its good head."""


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        [utterance] = body["utterances"]
        if refusal := fake.refused(utterance["text"]):
            return refusal
        if body.get("version") == "2" and "voice" not in utterance:
            return web.json_response(told("E0714"), status=400)
        form = body.get("format", {}).get("type", "mp3")
        pieces = cut(spoken(form))
        good = [chunk(each, form, at, is_last=each is pieces[-1]) for at, each in enumerate(pieces)]
        good.insert(1, TIMED)
        return await fake.stream(
            request, LINES.get(utterance["text"], good), "application/json", x_request_id="req"
        )

    return [web.post("/v0/tts/stream/json", speak)]


HUME = Vendor(routes, ERRORS)

"""Google Cloud Text-to-Speech as its SDK 2.38.0 finds it over REST: JSON, errors too."""

import base64
from collections.abc import Mapping

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, spoken

MOST_BYTES = 5000
FORMS = {"LINEAR16": "wav", "PCM": "pcm", "MP3": "mp3", "OGG_OPUS": "opus"}
VOICES = ("Kore", "en-US-Chirp3-HD-Charon", "cmn-CN-Wavenet-A", "es-419-Neural2-B")


def failed(
    status: int, word: str, *details: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Refusal:
    error = {"code": status, "message": "no", "status": word, "details": list(details)}
    return Refusal(status, {"error": error}, headers or {})


def reason(word: str) -> dict[str, object]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": word, "domain": "googleapis.com"}


def again_in(delay: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


EXHAUSTED = (429, "RESOURCE_EXHAUSTED", reason("RATE_LIMIT_EXCEEDED"))
ERRORS = {
    "bad field": failed(400, "INVALID_ARGUMENT"),
    "bad key": failed(400, "INVALID_ARGUMENT", reason("API_KEY_INVALID")),
    "no key": failed(401, "UNAUTHENTICATED", reason("ACCESS_TOKEN_EXPIRED")),
    "switched off": failed(403, "PERMISSION_DENIED", reason("SERVICE_DISABLED")),
    "no money": failed(403, "PERMISSION_DENIED", reason("BILLING_DISABLED")),
    "not there": failed(404, "NOT_FOUND"),
    "too often": failed(*EXHAUSTED),
    "too often now": failed(*EXHAUSTED, again_in("3.5s")),
    "too often today": failed(*EXHAUSTED, again_in("86400s")),
    "too often, twice told": failed(*EXHAUSTED, again_in("9s"), headers={"retry-after": "2"}),
    "too often, soon": failed(*EXHAUSTED, again_in("soon")),
    "broken": failed(500, "INTERNAL"),
    "busy": failed(503, "UNAVAILABLE", again_in("1s")),
    "late": failed(504, "DEADLINE_EXCEEDED"),
}
ODD = {
    "nothing": Refusal(200, {}),
    "no audio": Refusal(200, {"audioContent": ""}),
    "a number": Refusal(200, {"audioContent": 7}),
    "not base64": Refusal(200, {"audioContent": "<html>"}),
    "cut base64": Refusal(200, {"audioContent": "AAAAA"}),
    "a page": Refusal(200, {"audioContent": "data:text/html;base64,AAAA"}),
    "not JSON": Refusal(200, '{"audioContent": "AAAA'),
    "a list": Refusal(200, '["AAAA"]'),
}


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = body["input"].get("text") or body["input"]["ssml"]
        if request.headers.get("x-goog-api-key") != "test-key":
            said = "bad key"
        elif len(said.encode()) > MOST_BYTES or body["voice"]["name"] not in VOICES:
            said = "bad field"
        if refusal := fake.refused(said):
            return refusal
        audio = spoken(FORMS[body["audioConfig"]["audioEncoding"]])
        return web.json_response({"audioContent": base64.b64encode(audio).decode()})

    return [web.post("/v1/text:synthesize", speak)]


GOOGLE = Vendor(routes, ERRORS | ODD)

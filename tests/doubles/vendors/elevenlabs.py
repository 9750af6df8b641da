"""ElevenLabs as its SDK 2.78.0 finds it: streamed audio under cost headers, errors in `detail`."""

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

KINDS = {"mp3": "audio/mpeg", "opus": "audio/opus", "pcm": "audio/pcm", "wav": "audio/wav"}


def detail(code: str, **more: object) -> dict[str, object]:
    return {"detail": {"type": "error", "code": code, "status": code, "message": "no", **more}}


ERRORS = {
    "bad key": Refusal(401, detail("invalid_api_key")),
    "no credit": Refusal(401, detail("quota_exceeded")),
    "no voice": Refusal(404, detail("voice_not_found")),
    "too long": Refusal(400, detail("max_character_limit_exceeded")),
    "bad field": Refusal(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]}),
    "at once": Refusal(429, detail("concurrent_limit_exceeded")),
    "too often": Refusal(429, detail("rate_limit_exceeded"), {"retry-after": "3"}),
    "busy": Refusal(429, detail("system_busy")),
    "broken": Refusal(500, detail("internal_error")),
}


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refusal := fake.refused(body["text"]):
            return refusal
        form = request.query.get("output_format", "mp3_44100_128").split("_")[0]
        headers = {
            "request_id": "el-1",
            "character_cost": str(len(body["text"])),
            "current_concurrent_requests": "1",
            "maximum_concurrent_requests": "5",
        }
        return await fake.stream(request, cut(spoken(form)), KINDS[form], **headers)

    path = "/v1/text-to-speech/{voice}"
    return [web.post(path, speak), web.post(f"{path}/stream", speak)]


ELEVENLABS = Vendor(routes, ERRORS)

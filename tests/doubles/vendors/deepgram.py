"""Deepgram as its SDK 7.17.0 finds it: all but the text in the query, errors in three shapes."""

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

KNOWN = {"model", "encoding", "container", "sample_rate", "bit_rate", "speed"}
KNOWN |= {"mip_opt_out", "tag", "callback", "callback_method"}
FORMS = {
    ("linear16", "none"): ("pcm", "audio/l16;rate=24000;channels=1"),
    ("linear16", "wav"): ("wav", "audio/wav"),
    ("opus", "ogg"): ("opus", "audio/ogg;codecs=opus"),
    ("mp3", None): ("mp3", "audio/mpeg"),
    ("flac", None): ("flac", "audio/flac"),
    ("aac", None): ("aac", "audio/aac"),
}


def coded(code: str, message: str = "no") -> dict[str, object]:
    return {"err_code": code, "err_msg": message, "request_id": "dg-1"}


ERRORS = {
    "bad key": Refusal(401, coded("INVALID_AUTH", "Invalid credentials.")),
    "no credit": Refusal(402, coded("ASR_PAYMENT_REQUIRED")),
    "no rights": Refusal(403, coded("INSUFFICIENT_PERMISSIONS")),
    "no voice": Refusal(400, coded("Bad Request", "No such model/language combination found.")),
    "bad field": Refusal(
        400, {"category": "INVALID_JSON", "message": "no", "details": "no", "request_id": "dg-1"}
    ),
    "too long": Refusal(
        413, "Input text exceeds maximum character limit of 2000", kind="text/plain"
    ),
    "at once": Refusal(429, coded("TOO_MANY_REQUESTS")),
    "too often": Refusal(429, coded("TOO_MANY_REQUESTS"), {"retry-after": "3"}),
    "busy": Refusal(503, "Service Unavailable", kind="text/plain"),
    "broken": Refusal(500, coded("INTERNAL_SERVER_ERROR")),
}


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body, query = await request.json(), request.query
        if refusal := fake.refused(body["text"]):
            return refusal
        form = FORMS.get((query.get("encoding", "mp3"), query.get("container")))
        if body.keys() != {"text"} or not query.keys() <= KNOWN or form is None:
            return web.json_response(coded("INVALID_QUERY_PARAMETER"), status=400)
        if "callback" in query:
            return web.json_response({"request_id": "dg-1"})
        headers = {
            "dg_request_id": "dg-1",
            "dg_model_name": query["model"],
            "dg_char_count": str(len(body["text"])),
        }
        return await fake.stream(request, cut(spoken(form[0])), form[1], **headers)

    return [web.post("/v1/speak", speak)]


DEEPGRAM = Vendor(routes, ERRORS)

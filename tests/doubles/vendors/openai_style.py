"""Servers that speak OpenAI's `POST /audio/speech`, each with its own path, formats and errors.

Sources: the SDKs openai 3.54.0, openrouter 1.3.84, groq 1.7.0 and together 3.1.1; for DeepInfra its
API page; for Speaches, Kokoro-FastAPI and vLLM-Omni the servers' own code.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

KINDS = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
SAME = {form: form for form in KINDS}
OCTETS = dict.fromkeys(KINDS, "application/octet-stream")
ROOM = 200
"""Characters that Groq takes at once."""


@dataclass(frozen=True)
class Manner:
    """How a server answers."""

    path: str
    formats: Mapping[str, str] = field(default_factory=lambda: SAME)
    """Its own name of a format -> ours."""
    default: str = "mp3"
    kinds: Mapping[str, str] = field(default_factory=lambda: KINDS)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    """Whether the clip is sent at once, when it is done."""
    events: str | None = None
    """Which field of a server-sent event holds the audio, where `stream` means events."""
    most_characters: int | None = None


def error(code: str | int | None, kind: str = "invalid_request_error") -> dict[str, object]:
    return {"error": {"message": "no", "type": kind, "param": None, "code": code}}


def detail(what: object) -> dict[str, object]:
    return {"detail": what}


def vendor(manner: Manner, errors: Mapping[str, Refusal]) -> Vendor:
    def routes(fake: Fake) -> list[web.RouteDef]:
        async def speak(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            refusal = fake.refused(body["input"]) or _refused(manner, body)
            return refusal or await _spoken(fake, manner, request, body)

        return [web.post(manner.path, speak)]

    return Vendor(routes, errors)


def _refused(manner: Manner, body: dict[str, object]) -> web.Response | None:
    form = body.get("response_format", manner.default)
    too_long = manner.most_characters and len(str(body["input"])) > manner.most_characters
    streams_whole = _is_events(manner, body) and manner.formats.get(str(form)) != "pcm"
    if form not in manner.formats or too_long or streams_whole:
        return web.json_response(error("invalid_value"), status=400)
    return None


def _is_events(manner: Manner, body: dict[str, object]) -> bool:
    return bool(manner.events and body.get("stream") and body.get("stream_format") != "audio")


async def _spoken(
    fake: Fake, manner: Manner, request: web.Request, body: dict[str, object]
) -> web.StreamResponse:
    form = manner.formats[str(body.get("response_format", manner.default))]
    pieces = [spoken(form)] if manner.is_whole else cut(spoken(form))
    if _is_events(manner, body):
        return await fake.stream(
            request, [_event(manner, each) for each in pieces] + [DONE], "text/event-stream"
        )
    return await fake.stream(request, pieces, manner.kinds[form], **manner.headers)


DONE = b"data: [DONE]\n\n"


def _event(manner: Manner, piece: bytes) -> bytes:
    audio = base64.b64encode(piece).decode()
    return event({"object": "audio.tts.chunk", "model": "m", str(manner.events): audio})


def event(told: dict[str, object]) -> bytes:
    return f"data: {json.dumps(told)}\n\n".encode()


def events(*told: dict[str, object]) -> Refusal:
    return Refusal(200, b"".join(map(event, told)), kind="text/event-stream")


OPENAI = vendor(
    Manner(
        "/v1/audio/speech",
        headers={
            "x_request_id": "req_1",
            "x_ratelimit_remaining_requests": "499",
            "openai_processing_ms": "7",
        },
    ),
    {
        "bad field": Refusal(400, error(None)),
        "bad key": Refusal(401, error("invalid_api_key")),
        "forbidden": Refusal(403, error("unsupported_country_region_territory")),
        "no model": Refusal(404, error("model_not_found")),
        "unprocessable": Refusal(422, error(None)),
        "too often": Refusal(
            429, error("rate_limit_exceeded", "requests"), {"retry-after-ms": "1500"}
        ),
        "no credit": Refusal(429, error("insufficient_quota", "insufficient_quota")),
        "broken": Refusal(500, error(None, "server_error")),
        "overloaded": Refusal(503, error(None, "server_error"), {"retry-after": "3"}),
    },
)


def numbered(status: int, **more: object) -> dict[str, object]:
    return {"error": {"code": status, "message": "no", **more}, "user_id": "user_1"}


FLAGGED = {"reasons": ["violence"], "flagged_input": "bad...words", "provider_name": "x"}
OPENROUTER = vendor(
    Manner(
        "/api/v1/audio/speech",
        {"mp3": "mp3", "pcm": "pcm"},
        default="pcm",
        kinds=KINDS | {"pcm": "audio/pcm;rate=24000;channels=1"},
        headers={"x_generation_id": "gen-tts-1-a"},
    ),
    {
        "bad field": Refusal(400, numbered(400)),
        "bad key": Refusal(401, numbered(401)),
        "no credit": Refusal(402, numbered(402)),
        "forbidden": Refusal(403, numbered(403)),
        "flagged": Refusal(403, numbered(403, metadata=FLAGGED)),
        "guarded": Refusal(403, numbered(403, metadata={"patterns": ["card number"]})),
        "no model": Refusal(404, numbered(404)),
        "too long": Refusal(413, numbered(413)),
        "too often": Refusal(429, numbered(429), {"retry-after": "3"}),
        "broken": Refusal(500, numbered(500)),
        "broken behind": Refusal(502, numbered(502, metadata={"provider_name": "DeepInfra"})),
        "nobody": Refusal(503, numbered(503), {"retry-after": "5"}),
        "late": Refusal(524, numbered(524)),
        "overloaded": Refusal(529, numbered(529)),
    },
)

GROQ = vendor(
    Manner(
        "/openai/v1/audio/speech",
        {"wav": "wav"},
        is_whole=True,
        headers={"x_ratelimit_limit_requests": "100", "x_request_id": "req_g"},
        most_characters=ROOM,
    ),
    {
        "bad field": Refusal(400, error(None)),
        "terms": Refusal(400, error("model_terms_required")),
        "bad key": Refusal(401, error("invalid_api_key")),
        "no model": Refusal(404, error("model_not_found")),
        "too large": Refusal(413, error("request_too_large")),
        "unprocessable": Refusal(422, error(None)),
        "too often": Refusal(429, error("rate_limit_exceeded", "requests"), {"retry-after": "12"}),
        "full": Refusal(498, error("capacity_exceeded")),
        "broken": Refusal(500, error(None, "internal_server_error")),
        "overloaded": Refusal(503, error(None, "service_unavailable")),
    },
)

AT_TOGETHER = Manner(
    "/v1/audio/speech",
    {"mp3": "mp3", "wav": "wav", "raw": "pcm"},
    default="wav",
    kinds=OCTETS,
    events="b64",
)
HF_TOGETHER = vendor(replace(AT_TOGETHER, path="/together/v1/audio/speech"), {})
TOGETHER = vendor(
    AT_TOGETHER,
    {
        "bad field": Refusal(400, error(None)),
        "bad key": Refusal(401, error("invalid_api_key")),
        "no credit": Refusal(402, error("credit_limit")),
        "forbidden": Refusal(403, error(None)),
        "no model": Refusal(404, error("model_not_available")),
        "unprocessable": Refusal(422, error(None)),
        "too often": Refusal(429, error(None, "rate_limit"), {"retry-after": "2"}),
        "broken": Refusal(500, error(None, "server_error")),
        "overloaded": Refusal(503, error(None, "overloaded_error")),
        "very overloaded": Refusal(529, error(None)),
        "refused in an event": events(error(None, "server_error")),
        "broken in the middle": events({"b64": "AAAA"}, error(None, "rate_limit_error")),
        "no end": events({"b64": "AAAA"}),
        "no event": Refusal(200, "data: not json\n\n", kind="text/event-stream"),
        "not base64": events({"b64": "*"}),
        "a data URL that is not audio": events({"b64": "data:text/html;base64,AAAA"}),
    },
)

MISSING = [{"loc": ["body", "voice"], "msg": "no", "type": "missing"}]
DEEPINFRA = vendor(
    Manner(
        "/v1/openai/audio/speech",
        {form: form for form in KINDS if form != "aac"},
        default="wav",
    ),
    {
        "bad key": Refusal(401, detail({"error": "no"})),
        "no credit": Refusal(402, detail("no")),
        "no model": Refusal(404, {"error": "no"}),
        "bad field": Refusal(422, detail(MISSING)),
        "too often": Refusal(429, {"error": {"message": "Rate limited"}}),
        "broken": Refusal(500, detail("no")),
        "overloaded": Refusal(503, "no", kind="text/plain"),
    },
)

SPEACHES = vendor(
    Manner("/v1/audio/speech"),
    {
        "no model": Refusal(404, detail("Model 'x' is not installed locally.")),
        "bad field": Refusal(422, detail(MISSING)),
        "broken": Refusal(500, "Internal Server Error", kind="text/plain"),
    },
)


def kokoro(code: str, kind: str) -> dict[str, object]:
    return detail({"error": code, "message": "no", "type": kind})


KOKORO = vendor(
    Manner("/v1/audio/speech"),
    {
        "bad voice": Refusal(400, kokoro("validation_error", "invalid_request_error")),
        "bad field": Refusal(422, detail(MISSING)),
        "broken": Refusal(500, kokoro("processing_error", "server_error")),
    },
)

VLLM_OMNI = vendor(
    Manner(
        "/v1/audio/speech",
        {form: form for form in KINDS if form != "aac"},
        default="wav",
        events="audio",
    ),
    {
        "bad voice": Refusal(400, error(400, "BadRequestError")),
        "no model": Refusal(404, error(404, "NotFoundError")),
        "broken": Refusal(500, error(500, "InternalServerError")),
    },
)

LLM_API = vendor(
    Manner("/v1/audio/speech"),
    {
        "bad key": Refusal(401, error("invalid_api_key")),
        "no credit": Refusal(402, error("insufficient_credits")),
        "too often": Refusal(429, error("rate_limit_exceeded"), {"retry-after": "4"}),
    },
)

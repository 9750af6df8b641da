"""Operations that speak and that tell of requests."""

from gateway.docs.operation import GENERATION, JSON, MODEL, Operation, Parameter
from gateway.endpoints.shapes import SpeechBody

AUDIO = (
    "audio/mpeg",
    "audio/opus",
    "audio/aac",
    "audio/flac",
    "audio/wav",
    "audio/pcm;rate=24000;channels=1",
    "text/event-stream",
)
TOLD = {
    "X-Generation-Id": "The id of the request's record.",
    "X-Request-Id": "The client's own, where it is plain, else a new one.",
    "X-Provider": "Who spoke.",
    "X-Model": "With which model.",
    "X-Voice": "In which voice.",
    "X-Attempts": "How many attempts were made until first audio.",
    "X-Cache": "hit, where nobody was asked.",
    "Server-Timing": "plan, hold and first-audio, in milliseconds.",
    "traceparent": "The W3C trace that the request is part of.",
}
_ID = Parameter("generation_id", "A generation's id.", GENERATION, is_required=True)
_HELLO = {"model": MODEL, "input": "Hello there."}

SPEAKING = (
    Operation(
        "post",
        "/audio/speech",
        "Speech",
        "Turn text into audio",
        "The audio is streamed as it is made. /v1 answers mp3 where no format is named and refuses "
        "fields that it does not know, as OpenAI does; /api/v1 answers pcm and lets them be, as "
        "OpenRouter does.",
        scope="speak",
        parameters=(
            Parameter(
                "Idempotency-Key",
                "1 to 255 printable characters: a repeat with the same one is never charged twice.",
                is_header=True,
            ),
        ),
        body=SpeechBody,
        examples={
            "a sentence": {"model": "auto", "input": "The quick brown fox.", "voice": "alloy"},
            "a format and a pace": {
                **_HELLO,
                "response_format": {"type": "wav", "sample_rate": 16000},
                "speed": 1.2,
            },
            "under conditions": {
                **_HELLO,
                "provider": {"sort": "latency", "max_price": 20, "data_collection": "deny"},
                "deadline_ms": 10000,
            },
            "as events": {**_HELLO, "stream_format": "sse", "response_format": "mp3"},
        },
        media=AUDIO,
        headers=TOLD,
        errors=(400, 402, 404, 409, 410, 413, 422, 429, 502, 504),
    ),
    Operation(
        "post",
        "/audio/speech/plan",
        "Speech",
        "Tell whom a speech body would ask, and spend nothing",
        "The same body. The answer has the offers in order, why each other one was left out, and "
        "the most that the request can cost; error is what speech would be refused with.",
        scope="speak",
        body=SpeechBody,
        examples={"a sentence": {**_HELLO, "provider": {"sort": "price"}}},
        errors=(400, 404, 413),
    ),
    Operation(
        "get",
        "/generation",
        "Requests",
        "The record of one request",
        "Its plan, its attempts, its timings, and what it cost.",
        parameters=(Parameter("id", "A generation's id.", GENERATION, is_required=True),),
        errors=(400, 404),
    ),
    Operation(
        "get",
        "/generations",
        "Requests",
        "Records, newest first",
        "A speaking key sees its own, a reading key its project's, a management key all.",
        parameters=(
            Parameter("limit", "How many, 1 to 100.", 2, "integer"),
            Parameter("after", "Only older ones than this id."),
        ),
        errors=(400,),
    ),
    Operation(
        "get",
        "/generations/{generation_id}/audio",
        "Requests",
        "A request's audio, while it is kept",
        "Answers ranges. Audio is kept where the project keeps it, and of requests with an "
        "Idempotency-Key.",
        parameters=(_ID,),
        media=AUDIO[:-1],
        errors=(404, 416),
    ),
    Operation(
        "get",
        "/generations/{generation_id}/content",
        "Requests",
        "What is kept of a request",
        "The text, and until when there is audio; null where nothing is kept.",
        parameters=(_ID,),
        errors=(404,),
    ),
    Operation(
        "delete",
        "/generations/{generation_id}/content",
        "Requests",
        "Delete a request's text and audio at once",
        "The record stays.",
        parameters=(_ID,),
        errors=(404,),
    ),
)
LOOKING = (
    Operation(
        "get",
        "/models",
        "Catalogue",
        "Models, tasks and aliases that speak",
        "Prices are of a million characters.",
        parameters=(
            Parameter("q", "Words in the name or the description.", "espeak"),
            Parameter("providers", "Names, with commas between."),
            Parameter("model_authors", "Names, with commas between."),
            Parameter("supported_parameters", "Fields of a body, with commas between."),
            Parameter("zdr", "true: only where nothing is kept.", choices=("true", "false")),
            Parameter("min_price", "USD per million characters.", kind="number"),
            Parameter("max_price", "USD per million characters.", kind="number"),
            Parameter("sort", "pricing-low-to-high, latency-low-to-high, newest and more."),
            Parameter("offset", "How many to leave out.", kind="integer"),
            Parameter("limit", "How many, 1 to 1000.", 1, "integer"),
        ),
        errors=(400,),
    ),
    Operation(
        "get",
        "/models/{name}",
        "Catalogue",
        "One model, task or alias",
        "A name may hold slashes.",
        parameters=(Parameter("name", "As author/slug.", MODEL, is_required=True),),
        errors=(404,),
    ),
    Operation(
        "get",
        "/models/{name}/endpoints",
        "Catalogue",
        "Every offer of a model, and how each one does",
        "Price, limits, uptime over 5 minutes, 30 minutes and a day, percentiles of latency and "
        "throughput, and whether it rests.",
        parameters=(Parameter("name", "As author/slug.", MODEL, is_required=True),),
        errors=(404,),
    ),
    Operation(
        "get",
        "/providers",
        "Catalogue",
        "Who is in the catalogue, who of them is off, and why",
    ),
    Operation("get", "/audio/models", "Catalogue", "The models, as speech clients read them"),
    Operation(
        "get",
        "/audio/voices",
        "Catalogue",
        "Every voice, who has it, and in which languages",
        parameters=(
            Parameter("model", "Of one model, task or alias.", MODEL),
            Parameter("provider", "Of one provider."),
        ),
        errors=(404,),
    ),
)
OPERATING = (
    Operation(
        "get", "/health/live", "Operation", "The process answers", scope=None, is_rooted=True
    ),
    Operation(
        "get",
        "/health/ready",
        "Operation",
        "Requests can be served",
        "503 while they cannot.",
        scope=None,
        parameters=(Parameter("verbose", "Given: tells the database, and who is off or rests."),),
        is_rooted=True,
    ),
    Operation(
        "get",
        "/metrics",
        "Operation",
        "This gateway's numbers, in Prometheus' text format",
        "Needs a management key beyond loopback, unless the operator allows it.",
        scope="manage",
        media=("text/plain; version=1.0.0; charset=utf-8",),
        is_rooted=True,
    ),
    Operation(
        "get",
        "/openapi.json",
        "Operation",
        "This document",
        scope=None,
        media=(JSON,),
        is_rooted=True,
    ),
)

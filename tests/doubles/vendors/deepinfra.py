"""DeepInfra's own inference as its SDK 0.3.0 reaches it: JSON with a data URL, and its cost."""

import base64
import json

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, spoken

VOICES = {"conversational_a", "conversational_b", "none"}
VOICES |= {f"read_speech_{each}" for each in "abcd"}
KINDS = {"wav": "wav", "mp3": "mpeg", "opus": "ogg", "flac": "flac", "pcm": "pcm"}
INPUT = {"detail": [{"loc": ["body", "preset_voice"], "msg": "no", "type": "value_error"}]}
ERRORS = {
    "bad key": Refusal(401, {"detail": {"error": "Invalid API key"}}),
    "no credit": Refusal(402, {"detail": {"error": "Payment required"}}),
    "no model": Refusal(404, {"detail": "Model is not available"}),
    "bad field": Refusal(422, INPUT),
    "too often": Refusal(429, {"detail": {"error": "Rate limited"}}),
    "busy": Refusal(429, {"detail": {"error": "Model busy, retry later"}}),
    "busy too": Refusal(429, {"error": {"message": "The model is busy"}}),
    "broken": Refusal(500, {"error": "inference failed"}),
    "down": Refusal(503, {"error": {"message": "no"}}),
    "told late": Refusal(200, {"error": {"code": "rate_limit_exceeded"}}),
    "no audio": Refusal(200, {"audio": None, "request_id": "di-1"}),
    "a page": Refusal(200, {"audio": "data:text/html;base64,PGh0bWw+"}),
    "no base64": Refusal(200, {"audio": "data:audio/wav,UklGRg=="}),
    "nothing in it": Refusal(200, {"audio": "data:audio/wav;base64,"}),
    "a number": Refusal(200, {"audio": 17}),
}
COSTS = {"cheap": "3.5e-05", "odd": "0.0000350000000000000001", "absurd": "1e999999999999"}
COSTS |= {"in words": '"0.1"', "negative": "-0.5", "not said": "null"}
"""Text -> its cost as it stands in the JSON."""


def routes(fake: Fake) -> list[web.RouteDef]:
    async def infer(request: web.Request) -> web.Response:
        body = await request.json()
        if refusal := fake.refused(body["text"]):
            return refusal
        if body.get("preset_voice", "none") not in VOICES:
            return web.json_response(INPUT, status=422)
        form = body.get("response_format", "wav")
        audio = base64.b64encode(spoken(form)).decode()
        answer = {
            "audio": f"data:audio/{KINDS[form]};base64,{audio}",
            "input_character_length": len(body["text"]),
            "output_format": form,
            "words": [],
            "request_id": "di-1",
            "inference_status": {"status": "succeeded", "runtime_ms": 900, "cost": "COST"},
        }
        cost = COSTS.get(body["text"], "0.000035")
        told = json.dumps(answer).replace('"COST"', cost)
        return web.Response(text=told, content_type="application/json")

    return [web.post("/v1/inference/{owner}/{model}", infer)]


DEEPINFRA = Vendor(routes, ERRORS)

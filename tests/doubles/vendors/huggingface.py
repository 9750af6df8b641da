"""Hugging Face's own inference as huggingface_hub 2.4.0 finds it: a whole clip for `inputs`."""

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, spoken

KINDS = {"org/flac": "flac", "org/wav": "wav"}
"""Model -> what it speaks; the request names no format."""
ERRORS = {
    "bad field": Refusal(400, {"error": "no"}),
    "bad key": Refusal(401, {"error": "Invalid username or password."}),
    "no credit": Refusal(402, {"error": "You have exceeded your monthly included credits."}),
    "forbidden": Refusal(403, {"error": "no"}),
    "no model": Refusal(404, "Not Found", kind="text/plain"),
    "unprocessable": Refusal(422, {"error": ["no"]}),
    "too often": Refusal(429, {"error": "no"}, {"retry-after": "6"}),
    "broken": Refusal(500, {"error": "no"}),
    "loading": Refusal(503, {"error": "Model is currently loading", "estimated_time": 20.0}),
    "not audio": Refusal(200, {"generated_text": "no"}),
}


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if refusal := fake.refused(body["inputs"]):
            return refusal
        form = KINDS[request.match_info["model"]]
        headers = {"x-request-id": "hf-1"}
        return web.Response(body=spoken(form), content_type=f"audio/{form}", headers=headers)

    return [web.post("/hf-inference/models/{model:.+}", speak)]


HUGGINGFACE = Vendor(routes, ERRORS)

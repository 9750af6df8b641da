"""Replicate as its SDK 1.0.7 finds it: predictions that are waited for, asked after, cancelled."""

import asyncio
import base64
from collections import Counter

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, lying, spoken


def problem(status: int, title: str, detail: str) -> Refusal:
    return Refusal(status, {"title": title, "detail": detail, "status": status, "type": "about:x"})


THROTTLED = "Request was throttled. Your rate limit resets in ~30s."
ERRORS = {
    "bad key": problem(401, "Unauthenticated", "You did not pass a valid token."),
    "no credit": problem(402, "Insufficient credit", "You have insufficient credit."),
    "no model": problem(404, "Not found", "The requested resource could not be found."),
    "bad field": problem(422, "Input validation failed", "input.text: does not fit"),
    "too often": Refusal(429, {"detail": THROTTLED}),
    "too often for": Refusal(429, {"detail": THROTTLED}, {"retry-after": "7"}),
    "broken": problem(500, "Internal server error", "no"),
    "poll lost": problem(404, "Not found", "no"),
    "poll too often": Refusal(429, {"detail": THROTTLED}),
    "file gone": Refusal(403, "<html>no</html>", kind="text/html"),
    "file is a page": Refusal(200, "<html>no</html>", kind="text/html"),
}
"""Those of a `poll` or a `file` are told there, all others when the prediction is made."""
AUDIO = "data:audio/wav;base64," + base64.b64encode(spoken("wav")).decode()
PAGE = "data:text/html;base64,PGh0bWw+"
OUTPUTS: dict[str, object] = {
    "at once": AUDIO,
    "in a list": [AUDIO],
    "a page": PAGE,
    "not base64": "data:audio/wav;base64,?",
    "nothing": None,
    "no URL": 17,
    "a stranger": "http://localhost:{port}/files/1.wav",
    "a neighbour": "https://evilreplicate.delivery/1.wav",
    "a password": "https://me:secret@replicate.delivery/1.wav",
}
"""Text -> output, of a prediction that is done within the wait."""
ENDINGS = {"fails": "failed", "canceled": "canceled", "aborted": "aborted", "odd": "odd"}
NEVER, DEAF, UNWILLING = "never", "never, and deaf", "never, and unwilling"
"""Texts whose predictions do not end; the last two are not cancelled, either."""
SLOW, SLOW_POLLS = "slowly", 5
"""A text that is still at work when it is asked after for the fifth time."""
LIES = {"file too short": 100_000, "file huge": 10**12}
"""Text -> how long its file says that it is."""
MADE = "2026-11-22T00:00:00Z"


MODEL = "/v1/models/{owner}/{model}"


class Predictions:
    """Those that one fake has made."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.texts: dict[str, str] = {}
        self.polls: Counter[str] = Counter()

    async def make(self, request: web.Request) -> web.StreamResponse:
        text = (await request.json())["input"]["text"]
        if not text.startswith(("poll", "file")) and (refusal := self.fake.refused(text)):
            return refusal
        name = f"p{len(self.texts) + 1}"
        self.texts[name] = text
        if text in OUTPUTS and request.headers.get("prefer", "").startswith("wait"):
            output = OUTPUTS[text]
            if isinstance(output, str):
                output = output.replace("{port}", str(self.fake.port))
            return self.told(name, "succeeded", output)
        return self.told(name, "starting")

    async def poll(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        text = self.texts[name]
        if text.startswith("poll") and (refusal := self.fake.refused(text)):
            return refusal
        self.polls[name] += 1
        least = SLOW_POLLS if text == SLOW else 1
        if self.polls[name] <= least or text in {NEVER, DEAF, UNWILLING}:
            return self.told(name, "processing")
        if text in ENDINGS:
            return self.told(name, ENDINGS[text])
        return self.told(name, "succeeded", f"{self.fake.url}/files/{name}.wav")

    async def cancel(self, request: web.Request) -> web.Response:
        text = self.texts[request.match_info["name"]]
        if text == DEAF:
            await asyncio.sleep(30)
        if text == UNWILLING:
            raise web.HTTPInternalServerError
        return self.told(request.match_info["name"], "canceled")

    async def file(self, request: web.Request) -> web.StreamResponse:
        text = self.texts[request.match_info["name"]]
        return self.fake.refused(text) or await lying(request, LIES.get(text, 0))

    def told(self, name: str, status: str, output: object = None) -> web.Response:
        here = f"{self.fake.url}/v1/predictions/{name}"
        prediction = {
            "id": name,
            "model": "lucataco/csm-1b",
            "version": "v1",
            "status": status,
            "input": {"text": self.texts[name]},
            "output": output,
            "logs": "",
            "error": "CUDA out of memory" if status == "failed" else None,
            "metrics": {"predict_time": 16.25} if status == "succeeded" else {},
            "created_at": MADE,
            "urls": {"get": here, "cancel": f"{here}/cancel"},
        }
        return web.json_response(prediction, status=200 if self.polls[name] else 201)


async def version(_: web.Request) -> web.Response:
    schema: dict[str, object] = {"components": {"schemas": {"Output": {"type": "string"}}}}
    about = {"id": "v1", "created_at": MADE, "cog_version": "0.9", "openapi_schema": schema}
    return web.json_response(about)


def routes(fake: Fake) -> list[web.RouteDef]:
    ours = Predictions(fake)
    return [
        web.post("/v1/predictions", ours.make),
        web.post(f"{MODEL}/predictions", ours.make),
        web.get(f"{MODEL}/versions/{{id}}", version),
        web.get("/v1/predictions/{name}", ours.poll),
        web.post("/v1/predictions/{name}/cancel", ours.cancel),
        web.get("/files/{name}.wav", ours.file),
    ]


REPLICATE = Vendor(routes, ERRORS)

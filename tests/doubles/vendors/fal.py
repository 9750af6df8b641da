"""fal as its SDK 1.0.3 finds it: apps that answer at once, and under `/queue` apps with a queue."""

import base64
from collections import Counter

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, lying, spoken

LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance."
INPUT = {"detail": [{"loc": ["body", "scene"], "msg": "field required", "type": "missing"}]}
ERRORS = {
    "bad key": Refusal(401, {"detail": "Authentication is required to access this application"}),
    "no credit": Refusal(403, {"detail": LOCKED}),
    "no app": Refusal(404, {"detail": "Application not found"}),
    "bad input": Refusal(422, INPUT, {"x-fal-error-type": "validation_error"}),
    "too often": Refusal(429, {"detail": "Too many requests"}, {"retry-after": "4"}),
    "broken": Refusal(500, {"detail": "Internal Server Error", "error_type": "internal_error"}),
    "no runner": Refusal(503, {"detail": "no runner", "error_type": "runner_scheduling_failure"}),
    "late": Refusal(504, {"detail": "late"}, {"x-fal-request-timeout-type": "user"}),
    "poll lost": Refusal(404, {"detail": "Request not found"}),
    "result refused": Refusal(422, INPUT, {"x-fal-error-type": "validation_error"}),
    "result broken": Refusal(500, {"detail": "Internal Server Error"}),
    "result lost": Refusal(404, {"detail": "Request not found"}),
    "result locked": Refusal(403, {"detail": "no"}),
    "result empty": Refusal(200, {"detail": "no audio was made"}),
    "file gone": Refusal(404, "<html>no</html>", kind="text/html"),
    "file is a page": Refusal(200, "<html>no</html>", kind="text/html"),
}
"""Those of a `poll`, a `result` or a `file` are told there, all others to the first request."""
LIES = {"file too short": 100_000, "file huge": 10**12}
URLS: dict[str, object] = {
    "in the answer": "data:audio/wav;base64," + base64.b64encode(spoken("wav")).decode(),
    "a page": "data:text/html;base64,PGh0bWw+",
    "a stranger": "http://localhost:{port}/files/r1.wav",
    "a neighbour": "https://evilfal.media/r1.wav",
    "nothing": None,
}
"""Text -> where the answer says that its audio is."""
STRANGE = {"a strange status": "status", "a strange result": "response", "a strange end": "cancel"}
"""Text -> which of the queue's addresses leads to a stranger."""
NEVER = "never"
QUEUE = "/queue/fal-ai/csm-1b"


class Apps:
    """What one fake has been asked."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.texts: dict[str, str] = {}
        self.polls: Counter[str] = Counter()

    async def run(self, request: web.Request) -> web.StreamResponse:
        text = await self._text(request)
        return self._refused(text) or self.told(self._name(text))

    async def submit(self, request: web.Request) -> web.StreamResponse:
        text = await self._text(request)
        if refusal := self._refused(text):
            return refusal
        name = self._name(text)
        here = f"{self.fake.url}{QUEUE}/requests/{name}"
        urls = {"response": here, "status": f"{here}/status", "cancel": f"{here}/cancel"}
        if text in STRANGE:
            urls[STRANGE[text]] = f"http://localhost:{self.fake.port}/stranger"
        place = {"status": "IN_QUEUE", "request_id": name, "queue_position": 0}
        return web.json_response(place | {f"{kind}_url": url for kind, url in urls.items()})

    async def status(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        text = self.texts[name]
        if text.startswith("poll") and (refusal := self.fake.refused(text)):
            return refusal
        self.polls[name] += 1
        if self.polls[name] == 1:
            return web.json_response({"status": "IN_QUEUE", "queue_position": 0}, status=202)
        if self.polls[name] == 2 or text == NEVER:
            return web.json_response({"status": "IN_PROGRESS", "logs": None}, status=202)
        error = {"error": "it failed", "error_type": "x"} if text.startswith("result") else {}
        done = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 2.5}}
        return web.json_response(done | error)

    async def result(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return self.fake.refused(self.texts[name]) or self.told(name)

    async def cancel(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def file(self, request: web.Request) -> web.StreamResponse:
        text = self.texts[request.match_info["name"]]
        return self.fake.refused(text) or await lying(request, LIES.get(text, 0))

    def told(self, name: str) -> web.Response:
        url = URLS.get(self.texts[name], f"{self.fake.url}/files/{name}.wav")
        if isinstance(url, str):
            url = url.replace("{port}", str(self.fake.port))
        audio = {"url": url, "content_type": "audio/wav", "file_name": "1.wav", "file_size": 1}
        headers = {"x-fal-request-id": name, "x-fal-billable-units": "5"}
        return web.json_response({"audio": audio}, headers=headers)

    async def _text(self, request: web.Request) -> str:
        scene = (await request.json())["scene"]
        return str(scene[0]["text"])

    def _refused(self, text: str) -> web.Response | None:
        is_later = text.startswith(("poll", "result", "file"))
        return None if is_later else self.fake.refused(text)

    def _name(self, text: str) -> str:
        name = f"r{len(self.texts) + 1}"
        self.texts[name] = text
        return name


def routes(fake: Fake) -> list[web.RouteDef]:
    apps = Apps(fake)
    return [
        web.post("/fal-ai/csm-1b", apps.run),
        web.post(QUEUE, apps.submit),
        web.get(f"{QUEUE}/requests/{{name}}/status", apps.status),
        web.get(f"{QUEUE}/requests/{{name}}", apps.result),
        web.put(f"{QUEUE}/requests/{{name}}/cancel", apps.cancel),
        web.get("/files/{name}.wav", apps.file),
    ]


FAL = Vendor(routes, ERRORS)

"""Azure Speech as its documentation has it: SSML in, audio streamed, and statuses for errors."""

import xml.etree.ElementTree as ET

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

SSML = "{http://www.w3.org/2001/10/synthesis}"
MSTTS = "{https://www.w3.org/2001/mstts}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
KEY = "test-key"
KINDS = {"mp3": "audio/mpeg", "opus": "audio/ogg", "pcm": "audio/pcm", "wav": "audio/x-wav"}
ERRORS = {
    "bad request": Refusal(400, "", kind="text/plain"),
    "no format": Refusal(415, "", kind="text/plain"),
    "too often": Refusal(429, "Quota exceeded", kind="text/plain"),
    "too often now": Refusal(429, "", {"retry-after": "5"}, kind="text/plain"),
    "bad gateway": Refusal(502, "", kind="text/plain"),
    "busy": Refusal(503, "", kind="text/plain"),
}


def form_of(name: str) -> str:
    """Our name of the format that the header asks for."""
    if name.startswith(("raw", "riff")):
        return "pcm" if name.startswith("raw") else "wav"
    return "mp3" if name.endswith("mp3") else "opus"


def document(body: bytes) -> tuple[ET.Element, ET.Element]:
    """The document's root and its voice; ValueError where the service wants another shape."""
    root = ET.fromstring(body)  # noqa: S314  # a test's own
    voice = root.find(f"{SSML}voice")
    if root.tag != f"{SSML}speak" or LANG not in root.attrib or voice is None:
        raise ValueError(root.tag)
    if len(root) > 1 or (root.text or "").strip():
        raise ValueError("speech outside of a voice")
    return root, voice


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        held = {request.headers.get("ocp-apim-subscription-key")}
        held.add(request.headers.get("authorization", "").removeprefix("Bearer "))
        if KEY not in held:
            return web.Response(status=401)
        if request.headers.get("content-type") != "application/ssml+xml":
            return web.Response(status=415)
        try:
            _, voice = document(await request.read())
        except (ET.ParseError, ValueError):
            return web.Response(status=400)
        if refusal := fake.refused("".join(voice.itertext())):
            return refusal
        form = form_of(request.headers["x-microsoft-outputformat"])
        return await fake.stream(request, cut(spoken(form)), KINDS[form], x_requestid="az-1")

    return [web.post("/cognitiveservices/v1", speak)]


AZURE = Vendor(routes, ERRORS)

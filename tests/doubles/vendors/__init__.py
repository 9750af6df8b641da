"""Fakes of the vendors' own servers, each as faithful as the vendor's own SDK can tell.

A vendor is a list of routes; `Fake` serves it on a loopback port and keeps what it heard. A text
that is one of the vendor's `errors` is answered with that error, any other with a clip.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from tests.doubles.sound import clip

PIECE = 1500


@dataclass(frozen=True)
class Refusal:
    """How a vendor says no."""

    status: int
    body: str | bytes | dict[str, object] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"


@dataclass(frozen=True)
class Vendor:
    """A vendor's server: where it answers, and the texts that it answers with an error."""

    routes: Callable[["Fake"], Sequence[web.RouteDef]]
    errors: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass
class Heard:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Fake:
    """One vendor on a thread and a loop of its own."""

    def __init__(self, vendor: Vendor, *, pause: float = 0.0) -> None:
        self.vendor = vendor
        self.pause = pause
        """Seconds between the chunks of what it streams."""
        self.heard: list[Heard] = []
        self.began = 0.0
        """When it last began to stream audio, in monotonic seconds."""
        self.sent = 0
        """Chunks that it has streamed."""
        self.left = threading.Event()
        """Set when a client leaves before the end."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _open(self) -> None:
        app = web.Application(middlewares=[self._listen], client_max_size=64 * 2**20)
        app.add_routes(self.vendor.routes(self))
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    @web.middleware
    async def _listen(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        query = dict(request.query)
        self.heard.append(Heard(request.method, request.path, query, headers, body))
        return await handler(request)

    def refused(self, text: str) -> web.Response | None:
        """The error that this text stands for."""
        refusal = self.vendor.errors.get(text)
        if refusal is None:
            return None
        if isinstance(refusal.body, dict):
            return web.json_response(
                refusal.body, status=refusal.status, headers=dict(refusal.headers)
            )
        body = refusal.body.encode() if isinstance(refusal.body, str) else refusal.body
        return web.Response(
            body=body,
            status=refusal.status,
            content_type=refusal.kind,
            headers=dict(refusal.headers),
        )

    async def stream(
        self, request: web.Request, pieces: Sequence[bytes], kind: str, **headers: str
    ) -> web.StreamResponse:
        """Answer chunk by chunk; header names are given with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = web.StreamResponse(headers={"content-type": kind, **named})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            self.began = time.monotonic()
            for piece in pieces:
                await response.write(piece)
                self.sent += 1
                await asyncio.sleep(self.pause)
            await response.write_eof()
        except ConnectionResetError:
            self.left.set()
        return response


async def lying(request: web.Request, length: int) -> web.StreamResponse:
    """The clip as a WAV file that says to be longer than it is, where `length` says so."""
    audio = spoken("wav")
    answer = web.StreamResponse(headers={"content-type": "audio/wav"})
    answer.content_length = max(length, len(audio))
    await answer.prepare(request)
    await answer.write(audio)
    if length and request.transport:
        request.transport.close()
    return answer


def spoken(form: str, seconds: float = 1.0) -> bytes:
    """The clip that every fake speaks."""
    return clip(form, seconds)


def cut(audio: bytes, size: int = PIECE) -> list[bytes]:
    """In the pieces that it is streamed in."""
    return [audio[start : start + size] for start in range(0, len(audio), size)]

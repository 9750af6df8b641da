"""The answer to a speech request, straight to ASGI: head with the first audio, then the rest."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence

import msgspec
from litestar.types import Receive, Scope, Send

from gateway.audio.formats import content_type
from gateway.dispatch.outlet import Abandoned, Head, Outlet
from gateway.errors import GatewayError

_encode = msgspec.json.encode
_SPOKEN = (("X-Cache", "miss"),)
_REPLAYED = (("X-Cache", "hit"), ("Idempotent-Replayed", "true"))


async def watch(receive: Receive, outlet: Outlet) -> None:
    """Tell the outlet when the client leaves."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            outlet.abandon()
            return


class SpeechReply:
    """An ASGI application that sends one outlet's audio.

    A clip that breaks off is cut without its closing chunk, so that the client can tell.
    """

    def __init__(
        self,
        outlet: Outlet,
        head: Head,
        headers: Sequence[tuple[str, str]],
        watching: asyncio.Task[None],
        sse_characters: int | None,
    ) -> None:
        self._outlet = outlet
        self._head = head
        self._headers = headers
        self._watching = watching
        self._sse_characters = sse_characters

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        sent = False
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(k.lower().encode(), v.encode()) for k, v in self._all_headers()],
                }
            )
            async for chunk in self._body():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            sent = True
        except Abandoned:
            pass
        finally:
            self._watching.cancel()
            if not sent:  # a connection that breaks here may never be seen to break elsewhere
                self._outlet.abandon()
            self._outlet.finish()

    def _all_headers(self) -> list[tuple[str, str]]:
        head = self._head
        sse = self._sse_characters is not None
        return [
            ("Content-Type", "text/event-stream" if sse else content_type(head.sound)),
            ("Cache-Control", "no-store"),
            ("X-Accel-Buffering", "no"),
            ("X-Provider", head.provider),
            ("X-Model", head.model),
            ("X-Voice", head.voice),
            ("X-Attempts", str(head.attempts)),
            *(_REPLAYED if head.replayed else _SPOKEN),
            ("Server-Timing", ", ".join(f"{name};dur={ms:.1f}" for name, ms in head.timings)),
            *self._headers,
        ]

    async def _body(self) -> AsyncIterator[bytes]:
        if self._sse_characters is None:
            async for chunk in self._outlet.chunks():
                yield chunk
            return
        try:
            async for chunk in self._outlet.chunks():
                yield _event({"type": "speech.audio.delta", "audio": b64encode(chunk).decode()})
        except GatewayError as error:
            told = {"message": error.message, "type": error.type, "code": error.status}
            yield _event({"type": "error", "error": told})
            raise
        # The unit that is counted here is the character; no offer tells tokens.
        characters = self._sse_characters
        usage = {"input_tokens": characters, "output_tokens": 0, "total_tokens": characters}
        yield _event({"type": "speech.audio.done", "usage": usage})


def _event(event: object) -> bytes:
    return b"data: " + _encode(event) + b"\n\n"

"""The answer to a speech request, a bare ASGI application: no head before the first audio."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from local_engine.audio import Format

Listen = Callable[[], Awaitable[bytes]]
"""Waits for a clip's next samples; gives nothing when it is over. Each call but the first says
that what the last one gave has been taken."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One clip on its way to one client."""

    clip: AbstractAsyncContextManager[Listen]
    """Entered, it speaks; left before its end, it stops."""
    format: Format
    stall_seconds: float
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Speak until the text is over or the client has left, whichever is first."""
        speaking = asyncio.create_task(self._speak(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((speaking, leaving), return_when=asyncio.FIRST_COMPLETED)
            if speaking.done():
                speaking.result()
        finally:
            speaking.cancel()
            leaving.cancel()
            await asyncio.gather(speaking, leaving, return_exceptions=True)

    async def _speak(self, send: Send) -> None:
        async with self.clip as listen:
            first = await listen()
            await send(self._head())
            await send(_body(self.format.header + first))
            await self._send_rest(listen, send)
        await send(_body(b"", more=False))

    async def _send_rest(self, listen: Listen, send: Send) -> None:
        """Send as fast as the client reads; an exception cuts the body, so that it can tell."""
        while audio := await listen():
            async with asyncio.timeout(self.stall_seconds):
                await send(_body(audio))

    def _head(self) -> HTTPResponseStartEvent:
        content_type = (b"content-type", self.format.content_type.encode())
        return {
            "type": "http.response.start",
            "status": 200,
            "headers": [content_type, *self.headers],
        }


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(audio: bytes, *, more: bool = True) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": audio, "more_body": more}

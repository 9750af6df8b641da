"""One request as the upstream hears it, and the connection to answer it on."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_TEXTS = ("Text", "input", "inputs", "text", "transcript", "prompt")
"""What wires call the text that is to be spoken."""


@dataclass
class Heard:
    """One request."""

    behaviour: str
    """As its address names it."""
    headers: dict[str, str]
    body: dict[str, object]
    connection: int
    """The port that it came from: the same for requests over one connection."""
    nth: int = 0
    """How many requests for the same text this behaviour has heard before."""
    status: int | None = None
    """What it was answered with, if with anything."""
    gave: int = 0
    """Bytes of audio that were sent."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the other side has closed the connection."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when its connection is closed, by whichever side."""
    go: threading.Event = field(default_factory=threading.Event)
    """Set by the test when an upstream that waits for it shall go on."""

    @property
    def text(self) -> str:
        said: object = self.body
        while isinstance(said, dict):
            said = next((said[name] for name in _TEXTS if name in said), "")
        return str(said)


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    heard: Heard
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    keeps: bool = False
    """Whether the connection stays open for more."""

    @property
    def form(self) -> str:
        return str(self.heard.body.get("response_format", "mp3"))

    async def send(self, status: int, kind: str, body: bytes, *extra: str) -> None:
        await self.head(status, kind, f"content-length: {len(body)}", *extra)
        await self.write(body)

    async def head(self, status: int, kind: str, *extra: str) -> None:
        lines = [f"HTTP/1.1 {status} OK", f"content-type: {kind}", *extra]
        if not any(each.startswith("x-generation-id") for each in extra):
            lines.append("x-request-id: up-1")
        if not self.keeps:
            lines.append("connection: close")
        self.heard.status = status
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def audio(self, *extra: str) -> None:
        """The head of an answer that comes in chunks."""
        await self.head(200, TYPES[self.form], "transfer-encoding: chunked", *extra)

    async def chunk(self, data: bytes) -> None:
        await self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        if self.heard.status == 200:
            self.heard.gave += len(data)

    async def until_gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.reader.read()
        self.heard.gone.set()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """While something is sent that only ends when the other side has gone."""
        gone = asyncio.create_task(self.until_gone())
        try:
            yield
        except ConnectionError:
            self.heard.gone.set()
        finally:
            gone.cancel()


Behaviour = Callable[[Exchange], Awaitable[None]]

"""An upstream that speaks OpenAI's wire and misbehaves as its address asks.

`http://127.0.0.1:PORT/<behaviour>/v1` is one behaviour; every request it hears is kept.
"""

import asyncio
import contextlib
import json
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from tests.doubles.sound import clip

TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


@dataclass
class Heard:
    """One request."""

    behaviour: str
    headers: dict[str, str]
    body: dict[str, object]
    connection: int
    """The port that it came from: the same for requests over one connection."""
    nth: int
    """How many requests for the same text this behaviour has heard before."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the other side has closed the connection."""
    go: threading.Event = field(default_factory=threading.Event)
    """Set by the test when an upstream that waits for it shall go on."""


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    heard: Heard
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def form(self) -> str:
        return str(self.heard.body.get("response_format", "mp3"))

    async def send(self, status: int, kind: str, body: bytes, *extra: str) -> None:
        await self.head(status, kind, f"content-length: {len(body)}", *extra)
        self.writer.write(body)
        await self.writer.drain()

    async def head(self, status: int, kind: str, *extra: str) -> None:
        lines = [f"HTTP/1.1 {status} OK", f"content-type: {kind}", *extra]
        if not any(each.startswith("x-generation-id") for each in extra):
            lines.append("x-request-id: up-1")
        if self.heard.behaviour != "kept":
            lines.append("connection: close")
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def until_gone(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.reader.read()
        self.heard.gone.set()


Behaviour = Callable[[Exchange], Awaitable[None]]


async def fine(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form))


async def chunked(x: Exchange) -> None:
    await x.head(200, TYPES[x.form], "transfer-encoding: chunked")
    audio = clip(x.form)
    for start in range(0, len(audio), 1500):
        await x.chunk(audio[start : start + 1500])
    await x.chunk(b"")


async def html(x: Exchange) -> None:
    await x.send(200, "text/html", b"<!doctype html><html><body>Welcome</body></html>")


async def disguised_html(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], b"<!DOCTYPE html><html><body>Not audio at all</body></html>")


async def disguised_json(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], b'{"error": {"message": "quota", "type": "server_error"}}')


async def empty(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], b"")


async def wrong_type(x: Exchange) -> None:
    other = "wav" if x.form != "wav" else "mp3"
    await x.send(200, TYPES[other], clip(other))


async def wrong_audio(x: Exchange) -> None:
    other = "wav" if x.form != "wav" else "mp3"
    await x.send(200, TYPES[x.form], clip(other))


async def cut_at_start(x: Exchange) -> None:
    """A head that promises more than the seven bytes that come."""
    await x.head(200, TYPES[x.form], "content-length: 40000")
    x.writer.write(clip(x.form)[:7])
    await x.writer.drain()


async def cut_in_the_middle(x: Exchange) -> None:
    audio = clip(x.form, 20.0)
    await x.head(200, TYPES[x.form], "content-length: " + str(len(audio)))
    x.writer.write(audio[: len(audio) // 2])
    await x.writer.drain()


async def in_halves(x: Exchange) -> None:
    """Half of the audio, and the rest when the test says so."""
    audio = clip(x.form, 2.0)
    await x.head(200, TYPES[x.form], "transfer-encoding: chunked")
    await x.chunk(audio[: len(audio) // 2])
    while not x.heard.go.is_set():  # noqa: ASYNC110  # the test sets it from another thread
        await asyncio.sleep(0.01)
    await x.chunk(audio[len(audio) // 2 :])
    await x.chunk(b"")


async def long(x: Exchange) -> None:
    """Half a minute of audio, all at once."""
    await x.send(200, TYPES[x.form], clip(x.form, 30.0))


async def very_long(x: Exchange) -> None:
    """More pcm than all buffers between here and a client that reads nothing can take."""
    await x.send(200, TYPES[x.form], clip(x.form, 30.0) * 4)


async def long_id(x: Exchange) -> None:
    """Good audio under a request id that no column was made for."""
    await x.send(200, TYPES[x.form], clip(x.form), "x-generation-id: " + "long-" * 100)


async def reset(x: Exchange) -> None:
    sock = x.writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: a close is a reset
    x.writer.close()


async def compressed(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form), "content-encoding: gzip")


async def redirect(x: Exchange) -> None:
    await x.send(302, "text/plain", b"", "location: http://127.0.0.1:1/elsewhere")


async def hang(x: Exchange) -> None:
    await x.until_gone()


async def endless(x: Exchange) -> None:
    """Audio without end, until the other side has gone."""
    await x.head(200, TYPES[x.form], "transfer-encoding: chunked")
    gone = asyncio.create_task(x.until_gone())
    with contextlib.suppress(ConnectionError):
        while not x.heard.gone.is_set():
            await x.chunk(clip("pcm", 1.0))
            await asyncio.sleep(0.02)
    x.heard.gone.set()
    gone.cancel()


async def stalling(x: Exchange) -> None:
    """The beginning of a clip, and then silence."""
    await x.head(200, TYPES[x.form], "transfer-encoding: chunked")
    await x.chunk(clip(x.form)[:4000])
    await x.until_gone()


async def stalling_error(x: Exchange) -> None:
    await x.head(429, "application/json", "content-length: 400", "retry-after: 9")
    await x.until_gone()


async def cut_error(x: Exchange) -> None:
    await x.head(429, "application/json", "content-length: 400", "retry-after: 9")


async def huge_header(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form), "x-huge: " + "h" * 300_000)


async def not_http(x: Exchange) -> None:
    x.writer.write(b"220 mail.example ESMTP ready\r\n\r\n")
    await x.writer.drain()


async def wrong_chunk(x: Exchange) -> None:
    await x.head(200, TYPES[x.form], "transfer-encoding: chunked")
    await x.chunk(clip(x.form)[:4000])
    await asyncio.sleep(0.3)  # so that the head has been read before the fault comes
    x.writer.write(b"not a length\r\n")
    await x.writer.drain()


async def cookie(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form), "set-cookie: who=me; path=/")


async def billing(x: Exchange) -> None:
    """Good audio under the header lines that the request's own field `bill` lists."""
    bill = x.heard.body.get("bill", [])
    assert isinstance(bill, list)
    await x.send(200, TYPES[x.form], clip(x.form), *bill)


async def scripted(x: Exchange) -> None:
    """Whatever the request's own field `answer` says: status, kind, headers, body."""
    answer = x.heard.body["answer"]
    assert isinstance(answer, dict)
    kind = answer.get("kind", "application/json")
    body = answer.get("body", "").encode()
    await x.send(answer.get("status", 200), kind, body, *answer.get("headers", []))


async def moody(x: Exchange) -> None:
    """The request's own field `moods` lists how each try of a text goes; at last all goes well.

    No two tries that go well sound the same, so that nobody takes one for the other.
    """
    moods = x.heard.body.get("moods", [])
    assert isinstance(moods, list)
    if x.heard.nth < len(moods):
        await BEHAVIOURS[moods[x.heard.nth]](x)
    else:
        await x.send(200, TYPES[x.form], clip(x.form, 0.5 + 0.01 * x.heard.nth))


def status(code: int, body: bytes = b'{"error": {"code": "broken"}}', *extra: str) -> Behaviour:
    async def answer(x: Exchange) -> None:
        await x.send(code, "application/json", body, *extra)

    return answer


BEHAVIOURS: dict[str, Behaviour] = {
    "fine": fine,
    "chunked": chunked,
    "html": html,
    "disguised-html": disguised_html,
    "disguised-json": disguised_json,
    "empty": empty,
    "wrong-type": wrong_type,
    "wrong-audio": wrong_audio,
    "cut-at-start": cut_at_start,
    "cut-in-the-middle": cut_in_the_middle,
    "in-halves": in_halves,
    "long": long,
    "very-long": very_long,
    "long-id": long_id,
    "reset": reset,
    "compressed": compressed,
    "redirect": redirect,
    "hang": hang,
    "endless": endless,
    "stalling": stalling,
    "stalling-error": stalling_error,
    "cut-error": cut_error,
    "huge-header": huge_header,
    "not-http": not_http,
    "wrong-chunk": wrong_chunk,
    "cookie": cookie,
    "billing": billing,
    "scripted": scripted,
    "moody": moody,
    "kept": fine,
    "bad-request": status(400),
    "bad-key": status(401),
    "no-credit": status(429, b'{"error": {"code": "insufficient_quota"}}'),
    "missing": status(404),
    "too-many": status(429, b"{}", "retry-after: 7"),
    "failing": status(500),
    "overloaded": status(503, b"busy", "retry-after: 3"),
}


class Upstream:
    """The server, on a thread and a loop of its own."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def address(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}/v1"

    def said(self, text: str) -> list[Heard]:
        """The requests that asked for this text."""
        return [each for each in self.heard if each.body.get("input") == text]

    async def _open(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection, but `kept` ones go on until the other side ends it."""
        while await self._answer_one(reader, writer) == "kept":
            pass

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        behaviour = request_line.split()[1].split("/")[1]
        connection = writer.get_extra_info("peername")[1]
        asked = json.loads(body or b"{}")
        nth = sum(each.behaviour == behaviour for each in self.said(asked.get("input", "")))
        heard = Heard(behaviour, headers, asked, connection, nth)
        self.heard.append(heard)
        await BEHAVIOURS[behaviour](Exchange(heard, reader, writer))
        return behaviour

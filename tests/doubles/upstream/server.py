"""The server, on a thread and a loop of its own."""

import asyncio
import json
import ssl
import threading
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from typing import Self

from tests.doubles.upstream.behaviours import BEHAVIOURS, STEADY
from tests.doubles.upstream.exchange import Exchange, Heard


class Upstream:
    """Whoever its addresses name: a behaviour, or a name whose `mood` a test may change."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[Heard] = []
        self.counts: Counter[str] = Counter()
        """How many requests each name has heard."""
        self.mood: dict[str, str] = {}
        """Name -> behaviour, looked up anew for each request."""
        self._by_text: defaultdict[str, list[Heard]] = defaultdict(list)
        self._tls = tls
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

    def address(self, name: str) -> str:
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return f"{scheme}://{host}:{self.port}/{name}/v1"

    def said(self, text: str) -> list[Heard]:
        """The requests that asked for this text."""
        return list(self._by_text.get(text, ()))

    async def _open(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        host = "localhost" if self._tls else "127.0.0.1"
        self._server = await asyncio.start_server(
            self._serve, host, 0, ssl=self._tls, family=2, backlog=1000
        )
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
        here: list[Heard] = []
        try:
            while await self._answer_one(reader, writer, here):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            for heard in here:
                heard.ended.set()

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, here: list[Heard]
    ) -> bool:
        """Whether the connection stays open for more."""
        heard = await self._hear(reader, writer)
        here.append(heard)
        behaviour = self.mood.get(heard.behaviour, heard.behaviour)
        is_steady = heard.behaviour in self.mood and behaviour in STEADY
        keeps = heard.behaviour == "kept" or is_steady
        await BEHAVIOURS[behaviour](Exchange(heard, reader, writer, keeps))
        return keeps

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Heard:
        request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        name = request_line.split()[1].split("/")[1]
        connection = writer.get_extra_info("peername")[1]
        heard = Heard(name, headers, _read(body, headers), connection)
        before = self._by_text[heard.text]
        heard.nth = sum(each.behaviour == name for each in before)
        before.append(heard)
        self.heard.append(heard)
        self.counts[name] += 1
        return heard


def _read(body: bytes, headers: dict[str, str]) -> dict[str, object]:
    """JSON, or what a document of SSML says."""
    if headers.get("content-type", "").endswith("xml"):
        return {"text": "".join(ET.fromstring(body).itertext())}  # noqa: S314  # our own wire wrote it
    read: dict[str, object] = json.loads(body or b"{}")
    return read

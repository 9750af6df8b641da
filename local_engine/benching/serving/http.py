"""As much of HTTP/1.1 as a load generator needs: one request, and its body as it comes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


class Failed(Exception):
    """The answer is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body is still to come; status 0 is none of HTTP's."""

    status: int
    heads: Mapping[bytes, bytes]
    reader: asyncio.StreamReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body, each chunk as it is there; Failed where it breaks off."""
        if self.heads.get(b"transfer-encoding", b"").lower() != b"chunked":
            yield await self.reader.readexactly(int(self.heads.get(b"content-length", b"0")))
            return
        while size := await self._size():
            yield (await self.reader.readexactly(size + 2))[:-2]

    async def _size(self) -> int:
        line = await self.reader.readline()
        if not line.strip():
            raise Failed("the body broke off")
        return int(line.split(b";")[0], 16)


@asynccontextmanager
async def exchange(host: str, port: int, request: bytes) -> AsyncIterator[Answer]:
    """Ask on a connection of its own; leaving hangs up, whatever is still to come."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        line = await reader.readline()
        status = int(line.split(b" ")[1]) if line.startswith(b"HTTP/1.1 ") else 0
        yield Answer(status, await _heads(reader), reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _heads(reader: asyncio.StreamReader) -> dict[bytes, bytes]:
    heads = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.partition(b":")
        heads[name.strip().lower()] = value.strip()
    return heads


def post(path: str, body: bytes) -> bytes:
    """Write a request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n"
    kind = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + kind).encode() + body


def get(path: str) -> bytes:
    """Write a request without one."""
    return f"GET {path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\n\r\n".encode()


async def fetch(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Get a whole answer: its status and body."""
    async with exchange(host, port, get(path)) as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces()])

"""A load generator: CLIENTS keep-alive connections for SECONDS, one JSON line with what was seen.

Run as a program: `python -m tests.bench.load URL CLIENTS SECONDS BODY`; the key comes by BENCH_KEY.
"""

import asyncio
import json
import os
import sys
import time
from urllib.parse import urlsplit

import uvloop


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
        self.until = until
        self.took: list[float] = []
        self.first: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        if self.asked > self.until:
            self.transport.close()
            return
        self.heard = b""
        self.body_at = 0
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if not self.body_at:
            end = self.heard.find(b"\r\n\r\n")
            if end < 0:
                return
            self.body_at = end + 4
            self.head = self.heard[:end].lower()
        if len(self.heard) > self.body_at and len(self.first) == len(self.took):
            self.first.append(time.perf_counter() - self.asked)
        if self.whole():
            self.took.append(time.perf_counter() - self.asked)
            self.failed += not self.head.startswith(b"http/1.1 200")
            self.ask()

    def whole(self) -> bool:
        if b"transfer-encoding: chunked" in self.head:
            return self.heard.endswith(b"\r\n0\r\n\r\n")
        length = int(self.head.split(b"content-length:")[1].split(b"\r\n")[0])
        return len(self.heard) - self.body_at >= length

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def main(url: str, clients: int, seconds: float, body: bytes) -> None:
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"host: {parts.netloc}",
        f"authorization: Bearer {os.environ.get('BENCH_KEY', '')}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    made = []
    for _ in range(clients):
        _, client = await loop.create_connection(
            lambda: Client(request, begun + seconds), parts.hostname, parts.port
        )
        made.append(client)
    await asyncio.wait([client.done for client in made], timeout=seconds + 20)
    took = sorted(each for client in made for each in client.took)
    first = sorted(each for client in made for each in client.first)
    told = {
        "requests": len(took),
        "per_second": len(took) / (time.perf_counter() - begun),
        "failed": sum(client.failed for client in made),
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
        "first_p50_ms": percentile(first, 0.5),
        "first_p99_ms": percentile(first, 0.99),
    }
    print(json.dumps(told))


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


if __name__ == "__main__":
    url, clients, seconds, body = sys.argv[1:5]
    uvloop.run(main(url, int(clients), float(seconds), body.encode()))

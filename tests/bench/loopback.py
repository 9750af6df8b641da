"""A loopback upstream that answers every POST with one 32 KB clip; also swallows OTLP exports.

Run as a program: `python -m tests.bench.loopback PORT FILE`.
"""

import asyncio
import sys
from pathlib import Path

import uvloop


class Upstream(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, and nothing that costs time."""

    answer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data
        while (head := self.heard.find(b"\r\n\r\n")) >= 0:
            length = 0
            for line in self.heard[:head].lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(self.heard) < head + 4 + length:
                return
            self.heard = self.heard[head + 4 + length :]
            self.transport.write(self.answer)


async def main(port: int, body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: {len(body)}\r\n\r\n"
    Upstream.answer = head.encode() + body
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))

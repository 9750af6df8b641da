"""How the server's and the engine's messages travel over their socket: a length, then msgpack.

The engine holds a Link; the server, which lives in asyncio, uses `encode` and `read_frame`.
"""

import asyncio
import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from local_engine.csm.messages import FromEngine, Orders

_HEADER = struct.Struct(">I")
_LONGEST = 1 << 30
_READ = 1 << 20
_PATIENCE_SECONDS = 10.0

Received = TypeVar("Received")

_encoder = msgspec.msgpack.Encoder()
_orders = msgspec.msgpack.Decoder(Orders)
_from_engine: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)


class LinkClosed(Exception):
    """The other side has gone, does not read any more, or talks nonsense."""


def encode(message: Orders | FromEngine) -> bytes:
    """Make a frame, ready to be written."""
    payload = _encoder.encode(message)
    return _HEADER.pack(len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Wait for the next frame and give what it carries; LinkClosed where none will come."""
    try:
        header = await reader.readexactly(_HEADER.size)
        return await reader.readexactly(_length(header))
    except (OSError, asyncio.IncompleteReadError) as error:
        raise LinkClosed("the socket was closed") from error


def decode_orders(payload: bytes) -> Orders:
    """Read what the server said; LinkClosed where that is none of its messages."""
    try:
        return _orders.decode(payload)
    except msgspec.MsgspecError as error:
        raise LinkClosed(f"the server sent what is no message: {error}") from error


def decode_from_engine(payload: bytes) -> FromEngine:
    """Read what the engine said; LinkClosed where that is none of its messages."""
    try:
        return _from_engine.decode(payload)
    except msgspec.MsgspecError as error:
        raise LinkClosed(f"the engine sent what is no message: {error}") from error


def _length(header: bytes | bytearray) -> int:
    (length,) = _HEADER.unpack_from(header)
    if length > _LONGEST:
        raise LinkClosed(f"a frame of {length} bytes is none of ours")
    return int(length)


class Link(Generic[Received]):
    """One end of the socket for a thread that blocks. Only `ring` may be called by other threads.

    `decode` says what comes in: `decode_orders` for the engine. A peer that takes nothing for
    `patience_seconds` is as good as gone.
    """

    def __init__(
        self,
        connection: socket.socket,
        decode: Callable[[bytes], Received],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._connection = connection
        self._connection.setblocking(False)
        self._decode = decode
        self._patience = patience_seconds
        self._coming = bytearray()
        self._over = False
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)

    def send(self, message: Orders | FromEngine) -> None:
        """Write it whole; LinkClosed where the other side does not take it."""
        left = memoryview(encode(message))
        patient_until = time.monotonic() + self._patience
        while left:
            try:
                taken = self._connection.send(left)
            except BlockingIOError:
                self._wait_to_write(patient_until)
            except OSError as error:
                raise LinkClosed("the socket was closed") from error
            else:
                left = left[taken:]
                patient_until = time.monotonic() + self._patience

    def receive(self) -> Received:
        """Wait for the next message, whatever time it takes."""
        while not (message := self._next()):
            self._read(None)
        return message[0]

    def poll(self, seconds: float) -> list[Received]:
        """Give what has come; wait so long for the first of it, or until somebody rings.

        LinkClosed once the other side has gone and all it said has been given.
        """
        messages = self._all()
        if not messages:
            self._read(seconds)
            messages = self._all()
        return messages

    def ring(self) -> None:
        """Wake the thread that polls."""
        with contextlib.suppress(OSError):  # full: it has been rung often enough; or closed
            self._rope.send(b"!")

    def close(self) -> None:
        """Hang up."""
        for end in (self._connection, self._bell, self._rope):
            end.close()

    def _all(self) -> list[Received]:
        messages: list[Received] = []
        while message := self._next():
            messages += message
        return messages

    def _next(self) -> list[Received]:
        """Give one message, or an empty list where none is complete."""
        if len(self._coming) < _HEADER.size:
            return []
        end = _HEADER.size + _length(self._coming)
        if len(self._coming) < end:
            return []
        payload = bytes(self._coming[_HEADER.size : end])
        del self._coming[:end]
        return [self._decode(payload)]

    def _read(self, seconds: float | None) -> None:
        """Wait so long, then read what is there; a rung bell ends the wait too."""
        if self._over:
            raise LinkClosed("the socket was closed")
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        poll.poll(None if seconds is None else seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(_READ)
        with contextlib.suppress(BlockingIOError):
            self._coming += self._chunk()

    def _chunk(self) -> bytes:
        try:
            chunk = self._connection.recv(_READ)
        except ConnectionError:
            chunk = b""
        if not chunk:
            self._over = True
        return chunk

    def _wait_to_write(self, until: float) -> None:
        poll = select.poll()
        poll.register(self._connection, select.POLLOUT)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise LinkClosed("nobody reads at the other end")

"""The server's process: opens a voice, serves its application, and ends in order when told to."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from local_engine.errors import StartError

_STDIN = 0
_CONNECTIONS = 4096
"""Open at once; granian's own 128 would make the next listeners wait unanswered."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens, and how it ends."""

    host: str = "127.0.0.1"
    port: int = 8801
    drain_seconds: float = 10
    """How long running requests may go on after SIGTERM."""
    exit_with_stdin: bool = False


class Speaker(Protocol):
    """A voice with everything it runs."""

    async def open(self, fail: Callable[[StartError], None], /) -> Litestar:
        """Start what it needs, and give what is to be served.

        A start that fails later is told to `fail`, which ends the server.
        """

    def drain(self) -> None:
        """Take no new work."""

    async def close(self) -> None:
        """End what it runs, whether it is done or not."""


@dataclass(slots=True)
class _Ending:
    """Whether the server is to end, and because of what."""

    told: asyncio.Event
    error: StartError | None = None

    def fail(self, error: StartError) -> None:
        self.error = self.error or error
        self.told.set()


async def serve(listening: Listening, speaker: Speaker) -> None:
    """Serve until SIGTERM, SIGINT or, if asked for, the end of stdin."""
    ending = _Ending(asyncio.Event())
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, ending.told.set)
    if listening.exit_with_stdin:
        _watch_stdin(loop, ending.told)
    _check_free(listening.host, listening.port)
    try:
        app = await speaker.open(ending.fail)
        await _serve_until(ending, listening, app, speaker)
    finally:
        await speaker.close()
    if ending.error is not None:
        raise ending.error


async def _serve_until(
    ending: _Ending, listening: Listening, app: Litestar, speaker: Speaker
) -> None:
    server = Server(
        app,
        address=listening.host,
        port=listening.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        backlog=1024,
        backpressure=_CONNECTIONS,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    told = asyncio.create_task(ending.told.wait())
    await asyncio.wait((serving, told), return_when=asyncio.FIRST_COMPLETED)
    speaker.drain()
    server.stop()  # type: ignore[no-untyped-call]  # granian leaves it so
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, listening.drain_seconds)
    told.cancel()


def _check_free(host: str, port: int) -> None:
    """Refuse a port in use: granian would share it with another engine, and neither would tell."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Wait for stdin's end in a thread: an event loop cannot watch every kind of file."""

    def wait() -> None:
        while os.read(_STDIN, 4096):
            pass
        with suppress(RuntimeError):  # the loop has closed before
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, name="stdin", daemon=True).start()

"""The engine's process: opens the pool, serves the application, and ends in order when told to."""

import asyncio
import os
import signal
import socket
import threading
from contextlib import suppress

from granian.constants import Interfaces
from granian.server.embed import Server

from local_engine.app import create_app
from local_engine.endpoints import Engine
from local_engine.errors import StartError
from local_engine.espeak.pool import Pool
from local_engine.espeak.voices import Voices
from local_engine.settings import Settings

_STDIN = 0


async def serve(settings: Settings, *, exit_with_stdin: bool) -> None:
    """Serve until SIGTERM, SIGINT or, if asked for, the end of stdin."""
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, told_to_end.set)
    if exit_with_stdin:
        _watch_stdin(loop, told_to_end)
    _check_free(settings.host, settings.port)
    pool = Pool(settings)
    try:
        worker = await pool.open()
        engine = Engine(settings, pool, Voices.of(worker.voices, worker.variants))
        await _serve_until(told_to_end, engine)
    finally:
        await pool.close()


async def _serve_until(told_to_end: asyncio.Event, engine: Engine) -> None:
    server = Server(
        create_app(engine),
        address=engine.settings.host,
        port=engine.settings.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    ending = asyncio.create_task(told_to_end.wait())
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    engine.draining = True
    server.stop()  # type: ignore[no-untyped-call]  # granian leaves it so
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, engine.settings.drain_seconds)
    ending.cancel()


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

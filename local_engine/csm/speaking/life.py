"""The life of an engine process: load, prove that it speaks, serve, end."""

import argparse
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from local_engine.csm.link import Link, LinkClosed, decode_orders
from local_engine.csm.messages import Failed, Loading, Orders
from local_engine.csm.prompting.preparing import PreparingThread
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking import loop, watermark
from local_engine.csm.speaking.engine import Engine, Parts
from local_engine.csm.speaking.selftest import self_test

log = logging.getLogger(__name__)

CANNOT_START = 78
"""Exit status (EX_CONFIG) of an engine that told why it Failed."""

Progress = Callable[[str, int, int], None]
"""What is being done, how far that is, and how far it goes (0: not known)."""
Build = Callable[[EngineSettings, Progress], Parts]


def run(arguments: Sequence[str], build: Build) -> int:
    """Read the command line of an engine process, and live; gives the exit status."""
    parser = argparse.ArgumentParser(prog="local_engine.csm.process")
    parser.add_argument("--fd", type=int, required=True, help="of a socket to the server")
    parser.add_argument("--settings", required=True, help="EngineSettings as JSON")
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    # Only ours: the hub's client would tell the signed addresses of the files that it fetches.
    logging.getLogger("local_engine").setLevel(logging.INFO)
    settings = msgspec.json.decode(asked.settings, type=EngineSettings)
    with socket.socket(fileno=asked.fd) as connection:
        return live(connection, settings, build)


def live(connection: socket.socket, settings: EngineSettings, build: Build) -> int:
    """Serve the other end of the connection until it is over; gives the exit status."""
    # A signal to the whole group is the server's to act on: it drains, then hangs up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = Link(connection, decode_orders)
    try:
        parts = _start(link, settings, build)
    except LinkClosed:
        return 0
    except Exception as error:
        # The process's edge: whatever kept the model from loading, an operator has to read it.
        log.exception("the engine cannot start")
        return _fail(link, error)
    prepares = PreparingThread(parts.preparer, link.ring)
    return loop.run(Engine(parts, settings, prepares, time.monotonic), link, time.monotonic)


def _start(link: Link[Orders], settings: EngineSettings, build: Build) -> Parts:
    began = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        link.send(Loading(stage, done, total))

    new_watermarker = watermark.find(settings.watermark)
    parts = replace(build(settings, progress), new_watermarker=new_watermarker)
    progress("self-test", 0, 0)
    self_test(parts, settings)
    # What is loaded stays; later collections need not look at it.
    gc.collect()
    gc.freeze()
    seconds = time.monotonic() - began
    link.send(msgspec.structs.replace(parts.ready, load_seconds=seconds))
    return parts


def _fail(link: Link[Orders], error: Exception) -> int:
    try:
        link.send(Failed(str(error) or type(error).__name__))
    except LinkClosed:
        log.warning("nobody heard why")
    return CANNOT_START

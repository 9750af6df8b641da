"""The engine's server, started as anybody would start it, and asked by clients over HTTP."""

import http.client
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

import msgspec

from local_engine.benching.options import REAL
from local_engine.benching.record import Level, Run, ServerFigures
from local_engine.benching.serving.clients import Found, Load
from local_engine.benching.serving.processor import processor_seconds
from local_engine.benching.times import Budget, spread
from local_engine.csm.settings import REAL_RANDOM, TINY_RANDOM

_HOST = "127.0.0.1"
_OK = 200
_POLL_SECONDS = 0.05
_LEVEL_SHARE = 0.5
"""Of the time per level, spent with asking; the rest is for clips that are still spoken."""
_CLIP_FRAMES = 4
"""A clip has so many times the frames of a point, so that its first audio is not all of it."""
_END_SECONDS = 15
_CANCELS = 16
_CANCEL_STREAMS = 256
"""Clips that are spoken while one after the other is hung up on."""


class NotStarted(Exception):
    """The server did not become ready; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that is ready."""

    pid: int
    port: int
    model: str
    start_seconds: float


def measure_server(run: Run, budget: Budget, share: float) -> ServerFigures | None:
    """Start it, load it level by level, and end it."""
    try:
        with _serving(run, budget.until(share)) as serving:
            return _measured(serving, run, budget, share)
    except NotStarted as error:
        budget.drop("the server", str(error))
    return None


def _measured(serving: Serving, run: Run, budget: Budget, share: float) -> ServerFigures:
    frames = _CLIP_FRAMES * run.frames
    allowed = max(1.0, _LEVEL_SHARE * budget.until(share) / (len(run.clients) + 1))
    seconds = run.load_seconds or allowed
    load = Load(_HOST, serving.port, serving.model, 0, seconds, frames)
    points = [
        (
            f"{clients} clients",
            partial(_level, msgspec.structs.replace(load, clients=clients), serving),
        )
        for clients in run.clients
    ]
    levels = list(budget.each(points, share))
    streams = min(_CANCEL_STREAMS, max(run.clients))
    cancelling = msgspec.structs.replace(load, clients=streams, cancels=_CANCELS)
    cancelled = budget.attempt("cancelling", share, lambda: _ask(cancelling))
    ms = [1000 * each for each in cancelled.cancels] if cancelled else []
    if cancelled and cancelled.failed:
        why = "a clip was refused, or did not end within its time after its client hung up"
        budget.drop(f"cancelling {cancelled.failed} more times", why)
    return ServerFigures(
        start_seconds=serving.start_seconds,
        frames=frames,
        levels=levels,
        cancel=spread(ms) if ms else None,
        cancel_streams=streams,
    )


def _level(load: Load, serving: Serving) -> Level:
    before = processor_seconds(serving.pid)
    found = _ask(load)
    used = processor_seconds(serving.pid) - before
    return level(load.clients, found, used)


def level(clients: int, found: Found, processor: float) -> Level:
    """Sum up what the clients heard."""
    first = [1000 * clip.first_audio for clip in found.clips]
    gaps = [1000 * gap for clip in found.clips for gap in clip.gaps]
    under_runs = sum(clip.under_runs for clip in found.clips)
    unbroken = sum(not clip.under_runs for clip in found.clips)
    return Level(
        clients=clients,
        clips=len(found.clips),
        failed=found.failed,
        first_audio=spread(first) if first else None,
        gap=spread(gaps) if gaps else None,
        under_runs=under_runs,
        unbroken_share=unbroken / max(1, len(found.clips) + found.failed),
        audio_seconds_per_second=sum(clip.seconds for clip in found.clips) / found.seconds,
        cpu_percent=100 * processor / found.seconds,
    )


def _ask(load: Load) -> Found:
    """Run the clients in a process of their own; what fails there fails loudly here."""
    words = msgspec.json.encode(load).decode()
    program = (sys.executable, "-m", "local_engine.benching.serving.clients", words)
    done = subprocess.run(program, stdout=subprocess.PIPE, check=True)  # noqa: S603  # our own program
    return msgspec.json.decode(done.stdout, type=Found)


@contextmanager
def _serving(run: Run, seconds: float) -> Iterator[Serving]:
    """Keep a server running. Its stdin is ours: it ends with this process, whatever happens."""
    port, model = _free_port(), REAL_RANDOM if run.model == REAL else TINY_RANDOM
    most = str(max(run.clients))
    options = {
        "--model": model,
        "--port": str(port),
        "--device": run.device,
        "--dtype": run.dtype,
        "--codec": run.codec,
        "--depth-weights": run.depth_weights,
        "--kv": run.kv,
        "--threads": str(run.threads),
        "--slots": most,
        "--waiting": most,
    }
    words = [word for option in options.items() for word in option]
    program = (sys.executable, "-m", "local_engine", "--exit-with-stdin", *words)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=log, stderr=log)  # noqa: S603  # our own program
        try:
            yield Serving(process.pid, port, model, _ready(process, port, seconds, log))
        finally:
            _end(process)


def _ready(process: subprocess.Popen[bytes], port: int, seconds: float, log: IO[bytes]) -> float:
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < seconds:
        if _status(port) == _OK:
            return time.monotonic() - began
        time.sleep(_POLL_SECONDS)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-1:]
    raise NotStarted(f"not ready after {time.monotonic() - began:.1f} s: {''.join(last)}")


def _status(port: int) -> int:
    """Give the status of /health/ready; 0 while nobody answers."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=_POLL_SECONDS * 20)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port

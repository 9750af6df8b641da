"""The process of the clients: `python -m local_engine.benching.serving.clients JSON`.

Each asks for a clip, plays it, and asks again; the process tells in one line what they heard.
"""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import uvloop
from msgspec import Struct

from local_engine.benching.serving.http import Failed, exchange, fetch, post
from local_engine.benching.serving.playback import Arrival, Heard, play

_SPEECH = "/v1/audio/speech"
_SAMPLE_BYTES = 2
_OK = 200
_POLL_SECONDS = 0.002
_LONG = 4
"""A clip that is hung up on is so many times as long as others."""
_PATIENCE = 10.0


class Load(Struct, frozen=True):
    """What the clients are to do."""

    host: str
    port: int
    model: str
    clients: int
    seconds: float
    frames: int
    sample_rate: int = 24_000
    cancels: int = 0
    """Of one client, while the others listen; 0 measures the listening instead."""


class Clip(Struct, frozen=True):
    """One that was heard to its end; times are seconds."""

    first_audio: float
    seconds: float
    under_runs: int
    gaps: tuple[float, ...]


class Found(Struct, frozen=True):
    """What came of it."""

    seconds: float
    clips: list[Clip]
    failed: int
    cancels: list[float]


async def run(load: Load) -> Found:
    """Let all clients begin together; each ends with the clip it has when the time is over."""
    if load.cancels:
        return await _cancelling(load)
    began = time.perf_counter()
    until = began + load.seconds
    listened = await asyncio.gather(*(_listen(load, n, until) for n in range(load.clients)))
    spent = time.perf_counter() - began
    clips = [clip for one in listened for clip in one if clip is not None]
    failed = sum(clip is None for one in listened for clip in one)
    return Found(spent, clips, failed, [])


async def _listen(load: Load, number: int, until: float) -> list[Clip | None]:
    heard: list[Clip | None] = []
    while time.perf_counter() < until:
        heard.append(await _hear(load, seed=1000 * number + len(heard)))
        if heard[-1] is None:
            await asyncio.sleep(_POLL_SECONDS)  # so that a refusing server is not overrun
    return heard


async def _hear(load: Load, seed: int) -> Clip | None:
    """Hear one clip to its end; None where it failed."""
    asked = time.perf_counter()
    arrivals = []
    try:
        async with exchange(load.host, load.port, _request(load, seed, load.frames)) as answer:
            if answer.status != _OK:
                return None
            async for piece in answer.pieces():
                seconds = len(piece) / _SAMPLE_BYTES / load.sample_rate
                arrivals.append(Arrival(time.perf_counter(), seconds))
    except (OSError, EOFError, Failed, ValueError):
        return None
    return _clip(play(arrivals), asked) if arrivals else None


def _clip(heard: Heard, asked: float) -> Clip:
    return Clip(heard.first - asked, heard.seconds, heard.under_runs, heard.gaps)


async def _cancelling(load: Load) -> Found:
    """Hang up at the first samples of a clip again and again, beside all others' clips."""
    began, took = time.perf_counter(), []
    others = [
        asyncio.ensure_future(_listen(load, number, math.inf)) for number in range(load.clients - 1)
    ]
    try:
        speaking = await _until(partial(_speak, load), began + load.seconds)
        for number in range(load.cancels if speaking else 0):
            seconds = await _cancel(load, number)
            if seconds is None:
                break
            took.append(seconds)
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return Found(time.perf_counter() - began, [], load.cancels - len(took), took)


async def _cancel(load: Load, number: int) -> float | None:
    """Give the seconds from hanging up until the server tells how the clip ended."""
    request = _request(load, number, _LONG * load.frames)
    try:
        async with exchange(load.host, load.port, request) as answer:
            if answer.status != _OK:
                return None
            await anext(answer.pieces())
            place = "/v1/utterances/" + answer.heads[b"x-utterance-id"].decode()
            closed = time.perf_counter()
        over = await _until(partial(_told, load, place), closed + _PATIENCE)
    except (OSError, EOFError, Failed, ValueError):
        return None
    return time.perf_counter() - closed if over else None


async def _speak(load: Load) -> bool:
    """Tell whether all others have their slots."""
    _, told = await fetch(load.host, load.port, "/metrics")
    return running(told.decode().splitlines()) >= load.clients - 1


async def _told(load: Load, place: str) -> bool:
    status, _ = await fetch(load.host, load.port, place)
    return status == _OK


async def _until(asked: Callable[[], Awaitable[bool]], until: float) -> bool:
    while time.perf_counter() < until:
        if await asked():
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


def running(metrics: Sequence[str]) -> float:
    """Count the clips that hold a slot: they speak, wait for their listener, or are prefilled."""
    names = ("csm_running", "csm_paused", "csm_prefilling")
    lines = [line for line in metrics if line.partition("{")[0].partition(" ")[0] in names]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _request(load: Load, seed: int, frames: int) -> bytes:
    body = {
        "model": load.model,
        "input": "The quick brown fox jumps over the lazy dog today.",
        "response_format": "pcm",
        "max_tokens": frames,
        "seed": seed,
    }
    return post(_SPEECH, msgspec.json.encode(body))


def main() -> None:
    """Do what the command line says, and tell."""
    load = msgspec.json.decode(sys.argv[1], type=Load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(load))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    main()

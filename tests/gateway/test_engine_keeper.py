"""The embedded voice beside the gateway: killed in all ways, it comes back or is spoken for."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.engine import Engine, EngineKeeper
from tests.conftest import NewDatabase
from tests.doubles.books import children, is_running, settled, until
from tests.doubles.catalogue import STEADY, provider
from tests.doubles.running import ROOT, Running, running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

LONG = "This goes on and on and on. " * 3000
"""An hour of audio: nobody has all of it before the engine dies."""

FALLBACK = """
[[provider.offer]]
model = "local/espeak-ng"
upstream = "m"
voices = ["en-us"]
formats = { mp3 = "mp3", pcm = "pcm" }
price = { per = "character", usd_per_million = "1", source = "test", as_of = "2026-11-22" }
"""


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase, upstream: Upstream
) -> Iterator[Running]:
    """A gateway whose embedded voice has another provider behind it."""
    with _at_home(tmp_path_factory.mktemp("home"), new_database, upstream) as started:
        yield started


def _at_home(
    data: Path, new_database: NewDatabase, upstream: Upstream
) -> AbstractContextManager[Running]:
    extra = data / "providers.toml"
    extra.write_text(provider("stand-in", upstream.address("fine"), FALLBACK))
    more = {"GATEWAY_CATALOG": str(extra), "GATEWAY_DEADLINES_ATTEMPT_SECONDS": "2"}
    return running(data, new_database("sqlite"), **STEADY, **more)


def speak(gateway: Running, text: str = "Good morning.", **body: object) -> httpx.Response:
    with gateway.client() as client:
        asked = {"model": "local/espeak-ng", "input": text, "voice": "en-us"} | body
        return client.post("/v1/audio/speech", json=asked)


def speaks_itself(gateway: Running) -> bool:
    response = speak(gateway)
    assert response.status_code == 200, response.text
    return response.headers["x-provider"] == "local"


def engine(gateway: Running) -> int:
    [pid] = until(lambda: [p for p in children(gateway.process.pid) if _is_engine(p)])
    return pid


def _is_engine(pid: int) -> bool:
    return b"local_engine" in Path(f"/proc/{pid}/cmdline").read_bytes()


def workers(gateway: Running) -> list[int]:
    return until(lambda: len(found := children(engine(gateway))) == 2 and found)


def kill(pids: list[int], number: int = signal.SIGKILL) -> None:
    for pid in pids:
        os.kill(pid, number)


def asked_of_a_frozen(gateway: Running, victims: list[int]) -> httpx.Response:
    """Ask while the victims stand still, then kill them: nothing was said before they died."""
    kill(victims, signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(speak, gateway, "Who speaks?")
        time.sleep(0.3)
        assert not asked.done()
        kill(victims)
        return asked.result(10)


@pytest.mark.parametrize("which", ["workers", "engine"])
def test_death_before_the_first_audio_is_spoken_by_the_next(home: Running, which: str) -> None:
    until(lambda: speaks_itself(home))
    victims = workers(home) if which == "workers" else [engine(home)]
    response = asked_of_a_frozen(home, victims)
    assert response.status_code == 200, response.text
    assert response.headers["x-provider"] == "stand-in"
    assert read(response.content, "mp3").seconds == pytest.approx(1.0, abs=0.15)
    until(lambda: speaks_itself(home), 15)
    assert not any(map(is_running, victims))


@pytest.mark.parametrize("which", ["workers", "engine"])
def test_death_in_the_middle_cuts_the_clip_and_voids_it(home: Running, which: str) -> None:
    until(lambda: speaks_itself(home))
    victims = workers(home) if which == "workers" else [engine(home)]
    body = {"model": "local/espeak-ng", "input": LONG, "response_format": "pcm", "voice": "en-us"}
    with home.client() as client:
        with client.stream("POST", "/v1/audio/speech", json=body) as response:
            chunks = response.iter_raw()
            next(chunks)
            kill(victims)
            with pytest.raises(httpx.RemoteProtocolError):
                all(True for _ in chunks)
        record = settled(client, response.headers["x-generation-id"])
    assert (record["status"], record["cost"], record["fallbacks"]) == ("voided", "0", 0)
    until(lambda: speaks_itself(home), 15)


def test_an_engine_that_stands_still_is_spoken_for(home: Running) -> None:
    until(lambda: speaks_itself(home))
    frozen = engine(home)
    kill([frozen], signal.SIGSTOP)
    begun = time.monotonic()
    response = speak(home)
    kill([frozen], signal.SIGCONT)
    assert response.headers["x-provider"] == "stand-in"
    assert time.monotonic() - begun < 4
    until(lambda: speaks_itself(home), 10)


@asynccontextmanager
async def kept(manner: str) -> AsyncIterator[EngineKeeper]:
    """A keeper of an engine that is full or stuck, looked after many times a second."""
    program = (sys.executable, str(ROOT / "tests/doubles/engine.py"), manner)
    engine = Engine("the double", "local", ("--model", "none"))
    keeper = EngineKeeper(engine, program=program, check_seconds=0.05)
    keeper.start()
    try:
        yield keeper
    finally:
        await keeper.stop()


async def heard_by(capfd: pytest.CaptureFixture[str], path: str, times: int) -> None:
    """Until the engine has been asked for `path` so often."""
    deadline, heard = time.monotonic() + 20, ""
    while heard.count(path) < times:
        assert time.monotonic() < deadline
        heard += capfd.readouterr().out
        await asyncio.sleep(0.01)


async def test_a_full_engine_is_not_taken_for_a_dead_one(capfd: pytest.CaptureFixture[str]) -> None:
    async with kept("full") as keeper:
        await heard_by(capfd, "/health/live", 1)
        pid = keeper.pid
        await heard_by(capfd, "/health/live", 10)
        assert keeper.pid == pid


async def test_an_engine_that_does_not_answer_is_started_anew(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with kept("stuck") as keeper:
        await heard_by(capfd, "/health/live", 1)
        pid = keeper.pid
        deadline = time.monotonic() + 20
        while keeper.pid == pid:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert not is_running(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_the_engine_when_the_gateway_ends(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream, number: int
) -> None:
    with _at_home(tmp_path, new_database, upstream) as own:
        family = [engine(own), *workers(own)]
        body = {"model": "local/espeak-ng", "input": LONG, "response_format": "pcm"}
        if number == signal.SIGKILL:  # even while it speaks
            with (
                own.client() as client,
                client.stream("POST", "/v1/audio/speech", json=body) as response,
            ):
                next(response.iter_raw())
                own.process.send_signal(number)
                own.process.wait(10)
        else:
            own.process.send_signal(number)
            assert own.process.wait(10) == 0
        until(lambda: not any(map(is_running, family)), 10)


FORKING = """
import asyncio, os, time
import uvloop
from gateway.engine import Engine, EngineKeeper

async def main():
    keeper = EngineKeeper(Engine("the embedded voice", "local", ("--model", "espeak-ng")))
    keeper.start()
    print("ready" if await keeper.ready() else "not ready", flush=True)
    await keeper.stop()

# What a library may have asked to be run in a forked child, such as the tracing SDK's new threads.
os.register_at_fork(after_in_child=lambda: time.sleep(600))
uvloop.run(main())
"""


def test_starting_an_engine_runs_nothing_of_the_gateway_in_a_forked_child() -> None:
    words = [sys.executable, "-c", FORKING]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "ready\n", done.stderr

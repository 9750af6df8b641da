"""The server's side of an engine that does not start, or does not read what it is sent."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from local_engine.csm.messages import Ready, Submit, Turn
from local_engine.csm.server.client import Client
from local_engine.csm.server.keeper import Keeper
from local_engine.csm.server.metrics import Metrics, ModelMetrics
from local_engine.csm.server.progress import StartProgress
from local_engine.csm.server.results import Results
from local_engine.csm.server.settings import Settings
from local_engine.csm.settings import EngineSettings
from local_engine.errors import Overloaded, StartError

MODEL = EngineSettings(name="tiny")
READY = Ready("tiny", ("0",), 24_000, 1920, 4, 2048, "cpu", 0.1)
MEGABYTE = 1 << 20
FAKE = Path(__file__).parent / "fake_engine.py"


def client() -> Client:
    return Client(MODEL.name, Results(), ModelMetrics(Metrics(), MODEL.name))


class Watched(ModelMetrics):
    """Metrics that tell of a restart."""

    def __init__(self) -> None:
        super().__init__(Metrics(), MODEL.name)
        self.again = asyncio.Event()

    def restarted(self) -> None:
        super().restarted()
        self.again.set()


async def test_a_start_that_fails_in_an_unforeseen_way_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[StartError] = []
    settings = Settings((MODEL,), (sys.executable, "a name with a NUL: \0"))
    metrics = Watched()
    keeper = Keeper(MODEL, settings, client(), metrics, StartProgress(), failures.append)
    keeper.start()
    await metrics.again.wait()
    await keeper.close()
    assert "tiny: the engine could not be kept" in caplog.text
    assert failures == []


async def test_an_engine_that_reads_nothing_gets_no_more_than_so_much() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=ours)
    speaker = client()
    speaker.connect(writer)
    speaker.greet(READY)
    turn = Turn("0", "Hello.", bytes(20 * MEGABYTE))
    submit = Submit(0, "utterance", "key", "Hello", "0", context=(turn,))
    for _ in range(7):
        async with speaker.speaking(submit):
            await asyncio.sleep(0)  # it is sent with all else of this turn
    with theirs, pytest.raises(Overloaded, match="yet to read"):
        await speaker.speaking(submit).__aenter__()
    speaker.lose()
    writer.transport.abort()
    await asyncio.sleep(0)


async def test_callers_do_not_read_where_our_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAILED", "/models/tiny/config.json is not there")
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def fail(error: StartError) -> None:
        told.put_nowait((str(error), keeper.loading.stage))

    settings = Settings((MODEL,), (sys.executable, str(FAKE)))
    metrics = ModelMetrics(Metrics(), MODEL.name)
    keeper = Keeper(MODEL, settings, client(), metrics, StartProgress(), fail)
    keeper.start()
    assert await told.get() == ("tiny: /models/tiny/config.json is not there", "failed")
    await keeper.close()

"""The benchmark's clients and the server they ask: what is heard, counted and hung up on."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from test_bench import SMALLEST

from local_engine.benching.serving import clients
from local_engine.benching.serving.playback import Arrival, play
from local_engine.benching.serving.processor import processor_seconds
from local_engine.benching.serving.server import level, measure_server
from local_engine.benching.times import Budget

# The listener's clock.


def test_a_clip_ahead_of_its_player_is_heard_without_a_break() -> None:
    heard = play([Arrival(10 + 0.04 * n, 0.08) for n in range(5)])
    assert (heard.first, heard.under_runs, heard.waited) == (10, 0, 0)
    assert heard.seconds == pytest.approx(0.4)
    assert heard.gaps == pytest.approx([0.04] * 4)


def test_each_wait_is_one_under_run_and_what_comes_after_is_played_later() -> None:
    times = [0, 0.2, 0.25, 0.5]
    heard = play([Arrival(at, 0.08) for at in times])
    assert heard.under_runs == 2
    # Dry from 0.08 to 0.2; what came by 0.25 plays until 0.36; dry until 0.5.
    assert heard.waited == pytest.approx(0.12 + 0.14)


def test_running_clips_are_read_from_metrics() -> None:
    told = [
        "# HELP csm_running Clips that are being spoken.",
        "# TYPE csm_running gauge",
        'csm_running{model="a"} 2.0',
        'csm_running{model="b"} 1.0',
        'csm_paused{model="a"} 4.0',
        'csm_running_other{model="a"} 9.0',
    ]
    assert clients.running(told) == 7


def test_processor_time_is_that_of_a_process_and_its_children() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.25 < processor_seconds(process.pid) < 30
        process.communicate(b"\n")


# The clients, against a server of the test that speaks as the engine's does.


@asynccontextmanager
async def speaking(*, pieces: int, broken: bool = False) -> AsyncIterator[int]:
    """Answer each request with so many frames of 80 ms; if broken, hang up before the end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = msgspec.json.decode(await reader.readexactly(length))
        assert (body["response_format"], body["max_tokens"]) == ("pcm", pieces)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            writer.write(b"f00\r\n" + bytes(3840) + b"\r\n")
            await writer.drain()
        writer.write(b"" if broken else b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@dataclass(slots=True)
class Held:
    """Who speaks at a server, and how many did at once."""

    speaking: int = 0
    most: int = 0
    over: set[str] = field(default_factory=set)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def holding() -> AsyncIterator[tuple[int, Held]]:
    """Speak clips that do not end until they are hung up on; how one ended is told 50 ms later."""
    held = Held()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        if path == "/metrics":
            tell(writer, 200, f"csm_running {held.speaking}\n")
        elif path == "/v1/audio/speech":
            await speak(reader, writer)
        else:
            tell(writer, 200 if path.rpartition("/")[2] in held.over else 404, "{}")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.speaking += 1
        held.quiet.clear()
        held.most = max(held.most, held.speaking)
        name = f"utt-{id(writer)}"
        told = f"HTTP/1.1 200 OK\r\nx-utterance-id: {name}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(told.encode() + b"f00\r\n" + bytes(3840) + b"\r\n")
        while await reader.read(4096):
            pass
        await asyncio.sleep(0.05)
        held.speaking -= 1
        held.over.add(name)
        if not held.speaking:
            held.quiet.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], held
        async with asyncio.timeout(5):
            await held.quiet.wait()


def tell(writer: asyncio.StreamWriter, status: int, body: str) -> None:
    head = f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())


def load(port: int) -> clients.Load:
    return clients.Load("127.0.0.1", port, "tiny-random", clients=3, seconds=0.05, frames=5)


async def test_clients_hear_whole_clips_one_after_the_other() -> None:
    async with speaking(pieces=5) as port:
        found = await clients.run(load(port))
    assert found.failed == 0
    assert len(found.clips) >= 3
    for clip in found.clips:
        assert clip.seconds == pytest.approx(0.4)
        assert clip.first_audio > 0
        assert clip.under_runs == 0
    summed = level(3, found, processor=0.5 * found.seconds)
    assert (summed.clips, summed.unbroken_share) == (len(found.clips), 1)
    assert summed.cpu_percent == pytest.approx(50)
    assert summed.audio_seconds_per_second == pytest.approx(0.4 * len(found.clips) / found.seconds)


async def test_hanging_up_is_measured_beside_clips_that_go_on() -> None:
    async with holding() as (port, held):
        asked = msgspec.structs.replace(load(port), clients=3, seconds=20, cancels=4)
        found = await clients.run(asked)
    assert found.failed == 0
    assert len(found.cancels) == 4
    assert all(0.05 <= seconds < 5 for seconds in found.cancels)
    assert held.most == 3


async def test_a_clip_that_breaks_off_has_failed() -> None:
    async with speaking(pieces=5, broken=True) as port:
        found = await clients.run(load(port))
    assert found.clips == []
    assert found.failed >= 3
    summed = level(3, found, processor=0)
    assert (summed.first_audio, summed.unbroken_share) == (None, 0)


def test_the_server_is_started_loaded_and_ended() -> None:
    run, budget = replace(SMALLEST, clients=(2,), frames=2, load_seconds=0.5), Budget(60)
    found = measure_server(run, budget, 1.0)
    assert budget.dropped == []
    assert found is not None
    assert (found.frames, [one.clients for one in found.levels]) == (8, [2])
    (only,) = found.levels
    assert only.failed == 0
    assert only.clips >= 2
    assert only.first_audio is not None
    assert only.gap is not None
    assert 0 < only.first_audio.p50 < 60_000
    assert only.cpu_percent > 0
    assert found.cancel is not None
    assert found.cancel.p50 > 0
    assert found.cancel_streams == 2

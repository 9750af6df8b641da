"""Workers that die, clients that leave, queues that fill, and how the engine ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from embedded_engine import RunningEngine, is_running, kill, running, speech, until

ENDLESS = "This goes on and on and on. " * 3500
"""An hour of audio, more than the sockets hold: a client that reads nothing holds a worker."""


@contextmanager
def listening(engine: RunningEngine) -> Iterator[Iterator[bytes]]:
    """Hear the first of an endless speech, and be free to hear more."""
    with engine.http.stream("POST", "/v1/audio/speech", json=speech(ENDLESS)) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw()  # it must be kept: to drop it closes the answer
        next(chunks)
        yield chunks


def test_a_worker_killed_in_mid_speech_cuts_the_body(own_engine: RunningEngine) -> None:
    [pid] = own_engine.workers()
    with listening(own_engine) as chunks:
        kill(pid)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in chunks:
                pass
    assert own_engine.speak().status_code == 200
    assert own_engine.workers() != [pid]


def test_a_worker_that_dies_before_the_first_audio_is_a_503(own_engine: RunningEngine) -> None:
    [pid] = own_engine.workers()
    os.kill(pid, signal.SIGSTOP)  # so that it cannot have spoken yet
    with ThreadPoolExecutor() as threads, httpx.Client(base_url=own_engine.address) as other:
        asked = threads.submit(other.post, "/v1/audio/speech", json=speech("hello"))
        until(lambda: own_engine.ready()["busy"] == 1)
        kill(pid)
        answer = asked.result(10)
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"
    assert int(answer.headers["retry-after"]) >= 1
    assert own_engine.speak().status_code == 200


def test_an_idle_worker_killed_is_replaced_unnoticed(own_engine: RunningEngine) -> None:
    for _ in range(3):
        [pid] = own_engine.workers()
        kill(pid)
        until(lambda: not is_running(pid))  # noqa: B023 - it is over within the turn
        until(lambda: own_engine.workers() not in ([], [pid]))  # noqa: B023
        assert own_engine.speak().status_code == 200


def test_a_client_that_leaves_frees_the_worker(own_engine: RunningEngine) -> None:
    workers = own_engine.workers()
    for _ in range(20):  # each time it is left at another byte of a frame
        with listening(own_engine):
            assert own_engine.ready()["busy"] == 1
        until(own_engine.is_at_rest, 2)
        assert own_engine.seconds("hello") < 2
    assert own_engine.workers() == workers, "it was hushed, not killed"


def test_a_client_that_leaves_while_it_waits_leaves_the_queue(own_engine: RunningEngine) -> None:
    with listening(own_engine):
        with suppress(httpx.ReadTimeout):
            own_engine.http.post("/v1/audio/speech", json=speech("hello"), timeout=0.2)
        until(lambda: own_engine.ready()["waiting"] == 0, 2)
        assert own_engine.ready()["busy"] == 1


def test_a_slow_client_holds_the_worker_back(own_engine: RunningEngine) -> None:
    [pid] = own_engine.workers()
    before = resident_bytes(own_engine.process.pid)
    with listening(own_engine):
        until(lambda: is_blocked(pid))
        assert own_engine.ready()["busy"] == 1
        assert resident_bytes(own_engine.process.pid) < before + 30_000_000


def is_blocked(pid: int) -> bool:
    """Say whether it spent no processor time for a fifth of a second."""
    spent = processor_ticks(pid)
    time.sleep(0.2)
    return processor_ticks(pid) == spent


def processor_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_full_queue_is_a_429(own_engine: RunningEngine) -> None:
    with ThreadPoolExecutor() as threads, ExitStack() as first:
        first.enter_context(listening(own_engine))
        asked = [threads.submit(own_engine.speak) for _ in range(2)]
        until(lambda: own_engine.ready()["waiting"] == 2)
        refused = own_engine.speak()
        assert own_engine.http.get("/health/ready").status_code == 503
        first.close()
        assert [answer.result().status_code for answer in asked] == [200, 200]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


def test_the_end_of_stdin_ends_all(own_engine: RunningEngine) -> None:
    workers = own_engine.workers()
    own_engine.process.stdin.close()
    assert own_engine.process.wait(5) == 0
    until(lambda: not any(map(is_running, workers)), 2)


def test_without_the_flag_stdin_says_nothing_and_sigterm_ends_all() -> None:
    with running() as engine:
        workers = engine.workers()
        engine.process.terminate()
        assert engine.process.wait(5) == 0
        until(lambda: not any(map(is_running, workers)), 2)


def test_a_killed_engine_leaves_no_worker(own_engine: RunningEngine) -> None:
    workers = own_engine.workers()
    with listening(own_engine):
        own_engine.process.kill()
        until(lambda: not any(map(is_running, workers)), 5)


def test_sigterm_lets_a_running_request_finish(own_engine: RunningEngine) -> None:
    text = "This is to be heard to its end. " * 300
    whole = own_engine.seconds(text)
    body = speech(text, response_format="pcm")
    with own_engine.http.stream("POST", "/v1/audio/speech", json=body) as answer:
        chunks = answer.iter_raw()
        size = len(next(chunks))
        own_engine.process.terminate()
        size += sum(map(len, chunks))
    assert size / 2 / 22_050 == pytest.approx(whole, rel=0.02)
    assert own_engine.process.wait(10) == 0


def test_an_address_in_use_is_said_plainly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "local_engine", "--port", port]
        ended = subprocess.run(command, capture_output=True, timeout=15, check=False, text=True)
    assert ended.returncode == 1
    assert port in ended.stderr
    assert "Traceback" not in ended.stderr

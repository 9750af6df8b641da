"""Engines that load, fail, die or hang under CSM's server, and how the server ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from embedded_engine import is_running, until
from fake_engine import TONE
from prometheus_client.parser import text_string_to_metric_families
from served import MODEL, START_SECONDS, Served, launched, served, speech

ENDLESS = "frames=1000000 pace=0.01"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give a server of two models, with a short watchdog; tests hurt its engines."""
    folder = tmp_path_factory.mktemp("csm")
    second = ("--model", "second=tiny-random")
    with served(folder, "--step-seconds", "2", *second) as it:
        yield it


@pytest.fixture
def sound(server: Served) -> Served:
    """Give the server once its engines are up again."""
    until(server.answers, START_SECONDS)
    return server


def pids(server: Served) -> dict[str, int]:
    return {each["model"]: each["pid"] for each in server.ready()["models"]}


def restarts(server: Served, model: str) -> float:
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    [found] = [s for s in samples if (s.name, s.labels["model"]) == ("csm_restarts_total", model)]
    return found.value


def test_an_engine_killed_in_mid_clip_cuts_the_body_and_comes_back(sound: Served) -> None:
    before = restarts(sound, MODEL)
    pid, other = pids(sound)[MODEL], pids(sound)["second"]
    with sound.listening(ENDLESS) as answer, sound.listening(ENDLESS, model="second") as unharmed:
        others = unharmed.iter_raw()
        next(others)
        chunks = answer.iter_raw()
        next(chunks)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in chunks:
                pass
        next(others)
    result = sound.result(answer)
    assert result["finish"] == "lost"
    assert result["frames"] > 0
    until(sound.answers)
    assert sound.speak().status_code == 200
    assert restarts(sound, MODEL) == before + 1
    assert pids(sound)["second"] == other


def test_an_engine_that_dies_before_the_first_audio_is_a_503(sound: Served) -> None:
    answer = sound.speak("die")
    assert answer.status_code == 503
    assert answer.json()["error"]["type"] == "server_error"
    assert int(answer.headers["retry-after"]) >= 1
    until(sound.answers)
    assert sound.speak().status_code == 200


def test_a_hung_engine_is_killed_and_comes_back(sound: Served) -> None:
    pid = pids(sound)[MODEL]
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(sound.speak, "hang")
        until(lambda: not is_running(pid))
        assert asked.result().status_code == 503
    until(sound.answers)
    assert sound.speak().status_code == 200


def test_two_models_are_told_apart(sound: Served) -> None:
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(sound.speak, "frames=3", model=m) for m in (MODEL, "second")]
        answers = [each.result() for each in asked]
    assert [sound.result(each)["model"] for each in answers] == [MODEL, "second"]
    names = [each["id"] for each in sound.http.get("/v1/models").json()["data"]]
    assert names == [MODEL, "second"]
    unknown = sound.speak(model="third").json()["error"]
    assert (unknown["code"], unknown["param"]) == (404, "model")
    assert "'tiny', 'second'" in unknown["message"]


def test_the_server_process_is_free_of_torch(sound: Served) -> None:
    assert "torch" not in Path(f"/proc/{sound.process.pid}/maps").read_text()
    imports = "import local_engine.__main__, local_engine.csm.server.speaker, sys; "
    told = imports + "print([m for m in ('torch', 'transformers', 'moshi') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True)
    assert ended.stdout.strip() == b"[]"


def test_a_slow_start_is_told_and_refused_until_it_is_over(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with launched(tmp_path, FAKE_LOADING=str(gate)) as server:
        until(lambda: server.answers(503), START_SECONDS)
        until(lambda: server.model()["stage"] == "weights")
        assert server.ready()["status"] == "loading"
        assert (server.model()["done"], server.model()["total"]) == (3, 10)
        assert server.http.get("/health/live").status_code == 200
        refused = server.speak()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "weights" in refused.json()["error"]["message"]
        gate.touch()
        until(server.answers)
        assert server.speak().status_code == 200
        server.process.terminate()
        said = server.process.stderr.read().decode()
    assert "tiny: weights 30 %\n" in said
    assert "tiny: ready on cpu in 0.1 s, 16 slots of 2048 positions\n" in said


def test_a_terminal_gets_a_bar_for_the_start(tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    gate, said = tmp_path / "gate", b""
    with launched(tmp_path, stderr=theirs, FAKE_LOADING=str(gate)) as server:
        os.close(theirs)
        while b"tiny: weights" not in said or b"30 %" not in said:
            said += os.read(terminal, 4096)
        gate.touch()
        while b"tiny: ready on cpu" not in said:
            said += os.read(terminal, 4096)
        until(server.answers)
    os.close(terminal)


def test_a_model_that_cannot_start_ends_the_server_in_words(tmp_path: Path) -> None:
    with launched(tmp_path, FAKE_FAILED="/models/none is no folder") as server:
        assert server.process.wait(START_SECONDS) == 1
        said = server.process.stderr.read().decode()
    assert "local_engine: tiny: /models/none is no folder\n" in said
    assert "Traceback" not in said


def test_sigterm_lets_a_running_clip_finish_and_takes_no_other(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        pid = pids(server)[MODEL]
        body = speech("frames=60 pace=0.01", response_format="pcm")
        with server.http.stream("POST", "/v1/audio/speech", json=body) as answer:
            chunks = answer.iter_raw()
            size = len(next(chunks))
            server.process.terminate()
            size += len(next(chunks))
            server.process.terminate()  # whoever is impatient hastens nothing
            size += sum(map(len, chunks))
        assert size == 60 * len(TONE)
        assert server.process.wait(10) == 0
        assert server.orders("Drain")
        assert not is_running(pid)


def test_a_clip_that_does_not_end_is_ended_when_draining_takes_too_long(tmp_path: Path) -> None:
    with served(tmp_path, "--drain-seconds", "0.2") as server, server.listening(ENDLESS) as answer:
        pid = pids(server)[MODEL]
        next(answer.iter_raw())
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert not is_running(pid)


def test_an_engine_does_not_outlive_a_killed_server(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        pid = pids(server)[MODEL]
        server.process.kill()
        until(lambda: not is_running(pid))

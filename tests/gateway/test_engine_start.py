"""The CSM engine's start: what it is told, who speaks meanwhile, what it cannot do without."""

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.configuration import read_settings
from gateway.engine import CSM, LOADING, EngineKeeper, engines, expected_addresses
from gateway.settings import Settings
from tests.conftest import NewDatabase
from tests.doubles.running import ROOT, Running, environment, running

DOUBLE = (sys.executable, str(ROOT / "tests/doubles/engine.py"))


def told(**environ: str) -> Settings:
    return read_settings({"GATEWAY_CONFIG": str(ROOT / "config"), **environ})


async def become(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_there_is_no_engine_but_the_embedded_voice_where_nobody_names_one() -> None:
    [voice] = engines(told())
    assert (voice.name, voice.provider, voice.is_slow) == ("the embedded voice", "local", False)
    assert engines(told(GATEWAY_EMBEDDED_VOICE_ENABLED="false")) == []
    assert engines(told(GATEWAY_ENGINE_ADDRESS="http://a/v1")) == [voice]


def test_the_engine_is_told_what_to_load_and_what_else_the_operator_says() -> None:
    [_, plain] = engines(told(GATEWAY_ENGINE_MODEL="tiny-random"))
    assert plain.words == ("--model", f"{CSM}=tiny-random")
    assert (plain.name, plain.provider, plain.is_slow) == ("the CSM engine", "local-csm", True)
    said = {"MODEL": "/models/csm", "DEVICE": "cuda:1", "SLOTS": "64", "WAITING": "9"}
    said |= {"VOICES": "/v.toml", "CONFIG": "/e.toml", "READY_SECONDS": "5", "PROVIDER": "own"}
    [_, full] = engines(told(**{f"GATEWAY_ENGINE_{name}": each for name, each in said.items()}))
    options = "--device cuda:1 --slots 64 --waiting 9 --voices /v.toml --config /e.toml"
    assert full.words == ("--model", f"{CSM}=/models/csm", *options.split())
    assert (full.provider, full.ready_seconds) == ("own", 5)


def test_who_only_looks_at_the_catalogue_takes_the_engine_for_started() -> None:
    assert expected_addresses(told()).keys() == {"local"}
    expected = expected_addresses(told(GATEWAY_ENGINE_MODEL="tiny-random"))
    assert expected.keys() == {"local", "local-csm"}


async def test_it_is_told_whenever_the_engine_loads_and_when_it_is_ready(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    [_, engine] = engines(told(GATEWAY_ENGINE_MODEL="tiny-random"))
    keeper = EngineKeeper(engine, program=(*DOUBLE, "loading"), check_seconds=0.5)
    heard: list[str | None] = []
    keeper.start()
    keeper.telling(heard.append)
    try:
        await become(lambda: heard.count(None) == 1)
        assert set(heard[:-1]) == {LOADING}
        before = len(heard)
        os.kill(keeper.pid or 0, signal.SIGKILL)
        await become(lambda: heard.count(None) == 2)
        assert set(heard[before:-1]) == {LOADING}
    finally:
        await keeper.stop()
    said = capfd.readouterr().out.splitlines()
    place = f"--host 127.0.0.1 --port {keeper.port} --exit-with-stdin"
    assert said.count(f"--model {CSM}=tiny-random {place}") == 2
    assert sum("the CSM engine is ready after" in each for each in caplog.messages) == 2
    assert sum("the CSM engine ended" in each for each in caplog.messages) == 1


async def test_an_engine_that_is_not_ready_in_time_is_told_of_once_and_left_running(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    [_, engine] = engines(
        told(GATEWAY_ENGINE_MODEL="tiny-random", GATEWAY_ENGINE_READY_SECONDS="0.1")
    )
    keeper = EngineKeeper(engine, program=(*DOUBLE, "full"), check_seconds=0.5)
    keeper.start()
    try:
        await become(lambda: "is not ready after" in caplog.text)
        pid, looks = keeper.pid, 0
        while looks < 4:
            looks += capfd.readouterr().out.count("/health/ready")
            await asyncio.sleep(0.01)
        assert (keeper.pid, keeper.is_loading) == (pid, True)
    finally:
        await keeper.stop()
    assert caplog.text.count("the CSM engine is not ready after") == 1


@pytest.fixture(scope="module")
def loading(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> Iterator[Running]:
    """A gateway whose engine never gets ready: there is no such folder."""
    data = tmp_path_factory.mktemp("loading")
    nowhere = str(data / "no-such-model")
    with running(data, new_database("sqlite"), GATEWAY_ENGINE_MODEL=nowhere) as started:
        yield started


def speak(gateway: Running, *models: str) -> httpx.Response:
    with gateway.client() as client:
        body = {"models": models, "input": "Good morning.", "response_format": "pcm"}
        return client.post("/v1/audio/speech", json=body)


def test_the_gateway_serves_while_the_engine_loads_and_says_so(loading: Running) -> None:
    assert "local-csm              on, and loading" in loading.said()
    with loading.client() as client:
        ready = client.get("/health/ready", params={"verbose": ""})
    assert ready.status_code == 200
    rest = ready.json()["resting"]["local-csm"]
    assert {model: each["reason"] for model, each in rest.items()} == {CSM: LOADING}


def test_nobody_waits_for_an_engine_that_loads(loading: Running) -> None:
    answer = speak(loading, CSM, "local/espeak-ng")
    assert (answer.status_code, answer.headers["x-provider"]) == (200, "local")
    assert answer.headers["x-attempts"] == "1"
    refused = speak(loading, CSM)
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 10


@pytest.fixture
def without_torch(tmp_path: Path) -> Path:
    """Everything that is installed here but for torch, as a folder of links."""
    installed = Path(sysconfig.get_paths()["purelib"])
    for each in installed.iterdir():
        if not each.name.startswith(("torch", "transformers", "__editable__")):
            (tmp_path / "installed").mkdir(exist_ok=True)
            (tmp_path / "installed" / each.name).symlink_to(each)
    return tmp_path / "installed"


def test_where_torch_is_missing_the_start_says_how_to_install_it(
    without_torch: Path, tmp_path: Path, new_database: NewDatabase
) -> None:
    paths = os.pathsep.join([str(without_torch), str(ROOT)])
    environ = environment(tmp_path / "data", new_database("sqlite"), PYTHONPATH=paths)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "gateway", "serve"],
        cwd=ROOT,
        env=environ | {"GATEWAY_ENGINE_MODEL": "tiny-random"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    told = " ".join(done.stderr.split())
    assert "GATEWAY_ENGINE_MODEL=tiny-random: the CSM engine needs torch" in told
    assert "run `make engine`, or pip install 'voxroute[engine]'" in told

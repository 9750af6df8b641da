"""How the gateway stops, reloads, and refuses to start; and that uvicorn can serve it, too."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, until
from tests.doubles.catalogue import catalogue, offer, provider
from tests.doubles.running import ROOT, Running, environment, running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

Start = Callable[..., Running]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    return new_database(request.param)


@pytest.fixture
def start(tmp_path: Path, database: str, upstream: Upstream) -> Iterator[Start]:
    """Starts a gateway of the test's own, which need not live to the end of it."""
    extra = tmp_path / "providers.toml"
    extra.write_text(catalogue(upstream))
    own = {"GATEWAY_CATALOG": str(extra), "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    with ExitStack() as started:
        yield lambda **more: started.enter_context(running(tmp_path, database, **(own | more)))


def record(books: Books, text: str) -> dict[str, object]:
    """The record of the one request for a text of this length."""
    [row] = books.ask("SELECT * FROM generation WHERE characters = :n", n=len(text))
    return dict(row)


@contextmanager
def hearing(client: httpx.Client, model: str, text: str, form: str = "pcm") -> Iterator[Iterator]:
    """Hear the first of a clip, and be free to hear more."""
    body = {"model": model, "input": text, "response_format": form}
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        assert response.status_code == 200
        chunks = response.iter_raw()
        yield chunks


def test_a_stop_lets_what_runs_finish_and_refuses_what_comes(
    start: Start, upstream: Upstream
) -> None:
    gateway = start()
    text = f"to be finished on {gateway.url}"
    with gateway.client() as client, hearing(client, "test/in-halves", text) as chunks:
        audio = next(chunks)
        gateway.process.send_signal(signal.SIGTERM)
        with gateway.client() as late:
            until(lambda: late.get("/health/ready").status_code == 503)
            refused = late.post("/v1/audio/speech", json={"model": "test/fine", "input": "late"})
        upstream.said(text)[0].go.set()
        audio += b"".join(chunks)
    assert refused.status_code == 503
    assert refused.json()["error"]["metadata"]["error_type"] == "draining"
    assert int(refused.headers["retry-after"]) >= 1
    assert read(audio, "pcm").seconds == pytest.approx(2.0)
    ended = time.monotonic()
    assert gateway.process.wait(5) == 0
    assert time.monotonic() - ended < 2
    assert record(Books(gateway), text)["status"] == "settled"
    assert upstream.said("late") == []


def test_what_does_not_finish_in_time_is_cut_and_voided(start: Start) -> None:
    gateway = start(GATEWAY_SERVER_DRAIN_SECONDS="0.5")
    texts = ["speaks on " * 300, "says nothing at all"]
    with gateway.client() as client, hearing(client, "test/endless", texts[0]) as chunks:
        next(chunks)
        with ThreadPoolExecutor() as threads, gateway.client() as other:
            body = {"model": "test/hang", "input": texts[1]}
            silent = threads.submit(other.post, "/v1/audio/speech", json=body)
            books = Books(gateway)
            until(lambda: books.ask("SELECT id FROM generation WHERE characters = 19"))
            gateway.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                all(True for _ in chunks)
            assert silent.result(5).status_code == 503
    assert gateway.process.wait(5) == 0
    for text in texts:
        row = record(books, text)
        assert (row["status"], row["cost_nano"], row["error_type"]) == ("voided", 0, "draining")
    [balance] = books.ask("SELECT sum(held_nano) AS held FROM balance")
    assert balance["held"] == 0


def test_a_clip_that_waits_for_its_listener_is_settled_by_the_stop(start: Start) -> None:
    """All of it was made, and nobody reads it: the wait for the listener is what is broken off."""
    gateway = start(GATEWAY_SERVER_DRAIN_SECONDS="0.5")
    body = b'{"model": "only/wav", "input": "nobody listens", "response_format": "pcm"}'
    with socket.create_connection(("127.0.0.1", int(gateway.environ["GATEWAY_PORT"]))) as client:
        client.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
            + gateway.key.encode()
            + b"\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        books = Books(gateway)
        until(lambda: books.ask("SELECT id FROM generation WHERE characters = 14"))
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
    assert record(books, "nobody listens")["status"] != "held"


# Reloading.


def test_a_reload_takes_a_good_catalogue_and_refuses_a_bad_one(
    tmp_path: Path, start: Start, upstream: Upstream
) -> None:
    extra = tmp_path / "providers.toml"
    config = shutil.copytree(ROOT / "config", tmp_path / "config")
    gateway = start(GATEWAY_CONFIG=str(config))
    with gateway.client() as client:
        ask = {"model": "an-alias", "input": "Hello"}
        assert client.post("/v1/audio/speech", json=ask).status_code == 404
        row = provider("newcomer", upstream.address("fine"), offer("new/voice", "1"))
        extra.write_text(catalogue(upstream) + row)
        with (config / "gateway.toml").open("a") as file:
            file.write('an-alias = "new/voice"\n')
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: client.post("/v1/audio/speech", json=ask).status_code == 200, 5)

        misspelt = row.replace("address", "adress")
        refusals = ((misspelt, f"{extra}:4"), (row + "[[", str(extra)), ("\xff", "not UTF-8"))
        for broken, told in refusals:
            extra.write_text(broken, encoding="latin-1")
            before = gateway.said().count("reload refused")
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: gateway.said().count("reload refused") > before, 5)  # noqa: B023
            said = gateway.said().rpartition("reload refused")[2]
            assert told in said
            assert client.post("/v1/audio/speech", json=ask).status_code == 200


# Starting.


def test_a_port_in_use_is_said_plainly(tmp_path: Path, new_database: NewDatabase) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another gateway would
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environ = environment(tmp_path, new_database("sqlite"), GATEWAY_PORT=port)
        command = [sys.executable, "-m", "gateway", "serve"]
        ended = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, timeout=20, check=False, text=True
        )
    assert ended.returncode == 2
    assert port in ended.stderr
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr


# Another server.


def test_uvicorn_serves_it_too(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream
) -> None:
    extra = tmp_path / "providers.toml"
    extra.write_text(catalogue(upstream))
    environ = environment(tmp_path, new_database("sqlite"), GATEWAY_CATALOG=str(extra))
    made = subprocess.run(
        [sys.executable, "-m", "gateway", "keys", "create", "other server", "--json"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        check=True,
    )
    key, port = json.loads(made.stdout)["key"], environ["GATEWAY_PORT"]
    server = [sys.executable, "-m", "uvicorn", "--factory", "gateway.app:create_app"]
    process = subprocess.Popen([*server, "--port", port], cwd=ROOT, env=environ)
    try:
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            until(lambda: answers(client), 20)
            whole = client.post("/v1/audio/speech", json={"model": "pair/html", "input": "Hello"})
            assert whole.status_code == 200, whole.text
            assert read(whole.content, "mp3").seconds == pytest.approx(1.0, abs=0.15)
            broken = hearing(client, "test/cut-in-the-middle", "Broken")
            with broken as chunks, pytest.raises(httpx.RemoteProtocolError):
                all(True for _ in chunks)
            with hearing(client, "test/endless", "left early") as chunks:
                next(chunks)
        [heard] = upstream.said("left early")
        assert heard.gone.wait(5)
    finally:
        process.terminate()
        assert process.wait(20) in {0, -signal.SIGTERM}


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False

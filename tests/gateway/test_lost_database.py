"""A database that is locked, gone or silent: nothing is spent unseen, nothing needs a restart."""

import asyncio
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from tests.conftest import NewDatabase
from tests.doubles.books import Books, new_key, settled, until
from tests.doubles.catalogue import catalogue
from tests.doubles.running import Running, running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

Loss = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def own(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_database: NewDatabase,
    upstream: Upstream,
) -> Iterator[Running]:
    with _gateway(tmp_path_factory, new_database(request.param), upstream) as started:
        yield started


@contextmanager
def _gateway(
    folders: pytest.TempPathFactory, database: str, upstream: Upstream
) -> Iterator[Running]:
    data = folders.mktemp("own")
    extra = data / "providers.toml"
    extra.write_text(catalogue(upstream))
    more = {"GATEWAY_CATALOG": str(extra), "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    with running(data, database, **more) as started:
        yield started


@contextmanager
def locked(gateway: Running) -> Iterator[None]:
    """Somebody else holds what the ledger needs, and does not let go."""
    url = make_url(gateway.environ["GATEWAY_DATABASE_URL"])
    if url.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(url.database), isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.close()
        return
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as other:
        other.execute("LOCK TABLE balance IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def gone(gateway: Running, postgres: str) -> Iterator[None]:
    """Nobody may connect any more, and who is connected is thrown out."""
    name = make_url(gateway.environ["GATEWAY_DATABASE_URL"]).database
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.fixture
def loss(own: Running, request: pytest.FixtureRequest) -> Loss:
    if request.param == "locked":
        return lambda: locked(own)
    postgres = request.getfixturevalue("postgres")
    return lambda: gone(own, postgres)


each_loss = pytest.mark.parametrize(
    ("own", "loss"),
    [("sqlite", "locked"), ("postgresql", "locked"), ("postgresql", "gone")],
    indirect=True,
)


def speak(client: httpx.Client, text: str, model: str = "test/chunked") -> httpx.Response:
    return client.post("/v1/audio/speech", json={"model": model, "input": text})


@each_loss
async def test_without_its_database_nobody_is_asked_to_speak(
    own: Running, loss: Loss, upstream: Upstream
) -> None:
    with own.client() as client:
        key = new_key(client)
    text = f"unseen {loss} on {own.url}"
    headers = {"authorization": f"Bearer {key.plain}"}
    async with httpx.AsyncClient(base_url=own.url, headers=headers, timeout=30) as many:

        async def ask() -> httpx.Response:
            body = {"model": "test/chunked", "input": text}
            return await many.post("/v1/audio/speech", json=body)

        with loss():
            begun = time.monotonic()
            answers = await asyncio.gather(*(ask() for _ in range(20)))
            assert time.monotonic() - begun < 5, "they waited for one another"
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["metadata"]["error_type"] == "metering_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
        assert upstream.said(text) == []
        assert (await ask()).status_code == 200, "it needs no restart"
    Books(own).assert_balanced(key.hash)
    assert own.process.poll() is None


@each_loss
def test_a_clip_outlives_its_database_and_is_settled_when_it_is_back(
    own: Running, loss: Loss, upstream: Upstream
) -> None:
    text = f"outlives {loss} on {own.url}"
    body = {"model": "test/in-halves", "input": text, "response_format": "wav"}
    with own.client() as client:
        key = new_key(client)
        mine = client.stream(
            "POST", "/v1/audio/speech", json=body, headers={"authorization": f"Bearer {key.plain}"}
        )
        with mine as response:
            assert response.status_code == 200
            with loss():
                upstream.said(text)[0].go.set()
                audio = response.read()
                assert read(audio, "wav").seconds == pytest.approx(2.0, abs=0.1)
                time.sleep(0.3)  # the first try to settle has met the loss by then
        record = settled(client, response.headers["x-generation-id"])
    assert (record["status"], record["characters"]) == ("settled", len(text))
    Books(own).assert_balanced(key.hash)


@pytest.mark.parametrize("own", ["postgresql"], indirect=True)
def test_connections_that_die_while_idle_cost_nobody_an_answer(own: Running, postgres: str) -> None:
    with own.client() as client:
        assert speak(client, "before").status_code == 200
        with gone(own, postgres):
            pass
        assert speak(client, "after").status_code == 200


@pytest.mark.parametrize("own", ["sqlite"], indirect=True)
def test_a_short_lock_is_waited_for(own: Running) -> None:
    begun = time.monotonic()
    with own.client() as client, ThreadPoolExecutor() as threads:
        with locked(own):
            asked = threads.submit(speak, client, "patience")
            time.sleep(0.7)
            assert not asked.done()
        assert asked.result(5).status_code == 200
    assert time.monotonic() - begun < 2


# A network that swallows everything.


class Tap:
    """A way to a PostgreSQL that can be shut without closing a connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open = threading.Event()
        self._open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def shut(self) -> Iterator[None]:
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._path)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


async def test_a_silent_database_holds_nobody_for_long(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase, upstream: Upstream
) -> None:
    url = make_url(new_database("postgresql"))
    [folder] = [value for value in url.query.values() if isinstance(value, str)]
    tap = Tap(str(Path(folder) / ".s.PGSQL.5432"))
    through = url.set(host="127.0.0.1", port=tap.port, query={}).render_as_string(
        hide_password=False
    )
    text = f"silence on {url}"
    with _gateway(tmp_path_factory, through, upstream) as own, own.client() as client:
        key = new_key(client)
        headers = {"authorization": f"Bearer {key.plain}"}
        unseen = {"authorization": f"Bearer {new_key(client).plain}"}
        async with httpx.AsyncClient(base_url=own.url, headers=headers, timeout=30) as many:
            body = {"model": "test/chunked", "input": text}
            assert (await many.post("/v1/audio/speech", json=body)).status_code == 200
            with tap.shut():
                begun = time.monotonic()
                asked = [many.post("/v1/audio/speech", json=body) for _ in range(20)]
                asked.append(many.post("/v1/audio/speech", json=body, headers=unseen))
                answers = await asyncio.gather(*asked)
                # psycopg spends two times 5 s on a cancelled query before it lets go of it
                assert time.monotonic() - begun < 16
            assert {answer.status_code for answer in answers} == {503}
            assert len(upstream.said(text)) == 1

            async def speaks_again() -> bool:
                return (await many.post("/v1/audio/speech", json=body)).status_code == 200

            deadline = time.monotonic() + 10
            while not await speaks_again():
                assert time.monotonic() < deadline
        books = Books(own)
        until(lambda: books.balance(key.hash)["held_nano"] == 0, 15)
        books.assert_balanced(key.hash)
    tap.close()

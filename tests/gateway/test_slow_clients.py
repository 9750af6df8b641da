"""Clients that read slowly, or not at all."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import settled, until
from tests.doubles.catalogue import catalogue
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream


@pytest.fixture(scope="module")
def impatient(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase, upstream: Upstream
) -> Iterator[Running]:
    """A gateway that gives a client up after a second without progress."""
    data = tmp_path_factory.mktemp("impatient")
    extra = data / "providers.toml"
    extra.write_text(catalogue(upstream))
    with running(
        data,
        new_database("sqlite"),
        GATEWAY_CATALOG=str(extra),
        GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        GATEWAY_DEADLINES_STALL_SECONDS="1",
    ) as started:
        yield started


def asking(gateway: Running, model: str, text: str) -> socket.socket:
    """Ask over a connection with a small window, and read nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(gateway.environ["GATEWAY_PORT"])))
    body = f'{{"model": "{model}", "input": "{text}", "response_format": "pcm"}}'.encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
    client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return client


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_client_that_reads_nothing_is_given_up(impatient: Running, upstream: Upstream) -> None:
    before = resident_bytes(impatient.process.pid)
    text = "nobody reads " * 300  # or it would be more audio than the text can take
    with asking(impatient, "test/endless", text):
        [heard] = until(lambda: upstream.said(text))
        assert heard.gone.wait(8), "the upstream still speaks"
        assert resident_bytes(impatient.process.pid) < before + 30_000_000
    with impatient.client() as client:
        [last, *_] = client.get("/v1/generations").json()["data"]
        record = settled(client, last["id"])
    assert record["requested_model"] == "test/endless"
    assert (record["status"], record["cancelled"]) == ("settled", True)


def test_a_client_that_reads_slowly_gets_all_of_it(impatient: Running, upstream: Upstream) -> None:
    """Its last part takes it longer than the patience, and it never stands still."""
    with asking(impatient, "test/long", "slowly") as client:
        client.settimeout(5)
        begun = time.monotonic()
        heard = b""
        while not heard.endswith(b"\r\n0\r\n\r\n"):
            part = client.recv(65536)
            assert part, f"cut after {len(heard)} bytes"
            heard += part
            if len(heard) > 1_000_000:
                time.sleep(len(part) / 150_000)
        assert time.monotonic() - begun > 2
    with impatient.client() as client:
        [last, *_] = client.get("/v1/generations").json()["data"]
        record = settled(client, last["id"])
    assert (record["status"], record["cancelled"]) == ("settled", False)

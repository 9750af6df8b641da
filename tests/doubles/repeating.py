"""Requests under an Idempotency-Key: sent, sent again, cut off."""

import json
import secrets
import socket
from pathlib import Path

import httpx

from tests.doubles.books import Books, Key, settled, until
from tests.doubles.running import Running

PRICE = 15_000
"""Nano-USD per character."""


def unique() -> str:
    return secrets.token_hex(8)


def ask(
    client: httpx.Client, token: str, text: str, path: str = "/v1/audio/speech", **body: object
) -> httpx.Response:
    said = {"model": "test/moody", "input": text, "response_format": "pcm"} | body
    return client.post(path, json=said, headers={"idempotency-key": token})


def spoken(client: httpx.Client, token: str, text: str, **body: object) -> httpx.Response:
    """Ask, and wait until it is settled."""
    response = ask(client, token, text, **body)
    assert response.status_code == 200, response.text
    assert settled(client, response.headers["x-generation-id"])["status"] == "settled"
    return response


def moods(*names: str) -> dict[str, object]:
    return {"options": {"moody": {"moods": names}}}


def assert_charged_once(books: Books, key: Key, text: str) -> None:
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == PRICE * len(text)
    assert books.balance(key.hash)["posted_characters"] == len(text)


def kept_files(gateway: Running) -> list[str]:
    folder = gateway.data / "kept"
    return [each.name for each in folder.iterdir()] if folder.exists() else []


def cut_after_first_audio(gateway: Running, key: str, token: str, body: dict[str, object]) -> None:
    """Read the first bytes of audio, hang up, and wait until the gateway has seen it."""
    content = json.dumps(body).encode()
    client = socket.create_connection(("127.0.0.1", int(gateway.environ["GATEWAY_PORT"])))
    port = client.getsockname()[1]
    with client:
        client.settimeout(10)
        client.sendall(
            f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            f"idempotency-key: {token}\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        heard = b""
        while len(heard.partition(b"\r\n\r\n")[2]) < 1000:
            part = client.recv(4096)
            assert part, heard
            heard += part
    ports = f":{int(gateway.environ['GATEWAY_PORT']):04X} 0100007F:{port:04X}"
    until(lambda: ports not in Path("/proc/net/tcp").read_text())

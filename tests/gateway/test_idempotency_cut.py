"""Clients that leave under an Idempotency-Key, and what becomes of the clip that they ordered."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, new_key, settled, until
from tests.doubles.catalogue import catalogue, offer, provider
from tests.doubles.repeating import (
    ask,
    assert_charged_once,
    cut_after_first_audio,
    kept_files,
    moods,
    spoken,
    unique,
)
from tests.doubles.running import Running, running
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream


def test_a_client_that_is_cut_off_gets_the_whole_clip_when_it_comes_back(
    mine: httpx.Client, key: Key, gateway: Running, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"cut {unique()}"
    body = {"model": "test/in-halves", "input": text, "response_format": "pcm"}
    cut_after_first_audio(gateway, key.plain, token, body)
    assert ask(mine, token, text, model="test/in-halves").status_code == 409
    [heard] = upstream.said(text)
    assert not heard.gone.is_set()
    heard.go.set()
    again = until(
        lambda: (
            answer
            if (answer := ask(mine, token, text, model="test/in-halves")).status_code == 200
            else None
        )
    )
    assert again.content == clip("pcm", 2.0)
    assert again.headers["idempotent-replayed"] == "true"
    record = settled(mine, again.headers["x-generation-id"])
    assert (record["status"], record["cancelled"]) == ("settled", True)
    assert record["audio_seconds"] == 2.0
    assert len(upstream.said(text)) == 1
    assert_charged_once(books, key, text)


def test_a_client_that_leaves_before_the_first_audio_frees_its_key(
    mine: httpx.Client, key: Key, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"early {unique()}"
    body = {"provider": moods("hang")}
    said = {"model": "test/moody", "input": text, "response_format": "pcm"} | body
    with pytest.raises(httpx.ReadTimeout):
        mine.post("/v1/audio/speech", json=said, headers={"idempotency-key": token}, timeout=0.5)
    [heard] = upstream.said(text)
    assert heard.gone.wait(5), "the upstream was not cancelled"
    answer = until(lambda: a if (a := ask(mine, token, text, **body)).status_code == 200 else None)
    assert answer.content == clip("pcm", 0.51)
    settled(mine, answer.headers["x-generation-id"])
    assert_charged_once(books, key, text)


@pytest.fixture(scope="module")
def strict(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase, upstream: Upstream
) -> Iterator[Running]:
    """A gateway with little patience, time and room."""
    data = tmp_path_factory.mktemp("strict")
    (data / "providers.toml").write_text(catalogue(upstream))
    with running(
        data,
        new_database("sqlite"),
        GATEWAY_CATALOG=str(data / "providers.toml"),
        GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        GATEWAY_DEADLINES_STALL_SECONDS="1",
        GATEWAY_DEADLINES_CLIP_SECONDS="8",
        GATEWAY_KEPT_CLIP_MEGABYTES="6",
        GATEWAY_KEPT_MEGABYTES="20",
    ) as started:
        yield started


def test_a_client_that_stands_still_gets_the_whole_clip_when_it_comes_back(
    strict: Running, upstream: Upstream
) -> None:
    token, text = unique(), f"still {unique()}" + " on" * 100
    body = {"model": "test/very-long", "input": text, "response_format": "pcm"}
    content = json.dumps(body).encode()
    with strict.client() as client, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(strict.environ["GATEWAY_PORT"])))
        slow.sendall(
            f"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {strict.key}\r\n"
            f"idempotency-key: {token}\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        until(lambda: upstream.said(text))
        again = until(
            lambda: (
                a if (a := ask(client, token, text, model="test/very-long")).is_success else None
            )
        )
        assert again.content == clip("pcm", 30.0) * 4
        assert settled(client, again.headers["x-generation-id"])["cancelled"] is True
    assert len(upstream.said(text)) == 1


def test_what_is_too_large_to_keep_is_not_carried_on(strict: Running, upstream: Upstream) -> None:
    token, text = unique(), f"endless {unique()}" + " on" * 1000
    body = {"model": "test/endless", "input": text, "response_format": "pcm"}
    with strict.client() as client:
        key = new_key(client)
        cut_after_first_audio(strict, key.plain, token, body)
        assert upstream.said(text)[0].gone.wait(12), "the upstream still speaks"
        with strict.client(key.plain) as mine:
            until(lambda: ask(mine, token, text, model="test/endless").status_code == 410)
    assert len(upstream.said(text)) == 1
    until(lambda: not [each for each in kept_files(strict) if each.endswith(".draft")])


def test_a_clip_that_is_carried_on_has_no_more_time_than_any_other(
    strict: Running, upstream: Upstream
) -> None:
    token, text = unique(), f"stuck {unique()}"
    body = {"model": "test/stalling", "input": text, "response_format": "pcm"}
    with strict.client() as client:
        key = new_key(client)
        cut_after_first_audio(strict, key.plain, token, body)
        assert upstream.said(text)[0].gone.wait(12), "the upstream is still waited for"
        told = client.get("/v1/generations").json()["data"]
        [record] = [each for each in told if each["key"] == key.hash]
        record = settled(client, record["id"])
    assert (record["status"], record["cost"]) == ("voided", "0")


def test_speech_needs_no_folder_to_keep_it_in(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "kept").write_text("a file where the folder should be")
    (data / "providers.toml").write_text(catalogue(upstream))
    with (
        running(
            data,
            new_database("sqlite"),
            GATEWAY_CATALOG=str(data / "providers.toml"),
            GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        ) as gateway,
        gateway.client() as client,
    ):
        for _ in range(3):
            token, text = unique(), f"nowhere {unique()}"
            assert spoken(client, token, text).content == clip("pcm", 0.5)
            assert ask(client, token, text).status_code == 410
            assert len(upstream.said(text)) == 1
        assert gateway.said().count("cannot be kept") == 1


def test_a_replay_needs_neither_the_model_nor_its_provider(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream
) -> None:
    extra = tmp_path / "providers.toml"
    only = provider("passing", upstream.address("fine"), offer("passing/model", "15"))
    extra.write_text(only)
    with (
        running(
            tmp_path / "data",
            new_database("sqlite"),
            GATEWAY_CATALOG=str(extra),
            GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        ) as gateway,
        gateway.client() as client,
    ):
        token, text = unique(), f"passing {unique()}"
        first = spoken(client, token, text, model="passing/model")
        extra.write_text(only.replace("passing/model", "other/model"))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: ask(client, unique(), text, model="passing/model").status_code == 404)
        again = ask(client, token, text, model="passing/model")
    assert again.content == first.content
    assert again.headers["x-model"] == "passing/model"
    assert len(upstream.said(text)) == 1


# Gateways that end.


@dataclass(frozen=True)
class Brief:
    """A gateway that is started more than once, and has a second to stop."""

    home: Path
    url: str
    upstream: Upstream

    def started(self) -> AbstractContextManager[Running]:
        (self.home / "providers.toml").write_text(catalogue(self.upstream))
        return running(
            self.home / "data",
            self.url,
            GATEWAY_CATALOG=str(self.home / "providers.toml"),
            GATEWAY_EMBEDDED_VOICE_ENABLED="false",
            GATEWAY_SERVER_DRAIN_SECONDS="1",
        )

    def cut(self, gateway: Running) -> str:
        """A client hangs up on a clip that goes on: what it was to say."""
        text = f"brief {unique()}" + " on" * 1000
        body = {"model": "test/endless", "input": text, "response_format": "pcm"}
        cut_after_first_audio(gateway, gateway.key, unique(), body)
        return text


@pytest.fixture
def brief(tmp_path: Path, new_database: NewDatabase, upstream: Upstream) -> Brief:
    return Brief(tmp_path, new_database("sqlite"), upstream)


def test_a_gateway_that_stops_does_not_charge_for_what_it_carried_on(
    brief: Brief, upstream: Upstream
) -> None:
    with brief.started() as gateway:
        text = brief.cut(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        assert upstream.said(text)[0].gone.wait(5), "the upstream still speaks"
        [row] = Books(gateway).ask("SELECT status, cost_nano, error_type FROM generation")
        assert row == {"status": "voided", "cost_nano": 0, "error_type": "draining"}
        assert kept_files(gateway) == []


def test_a_gateway_that_was_killed_leaves_no_draft_behind_for_long(brief: Brief) -> None:
    with brief.started() as gateway:
        brief.cut(gateway)
        until(lambda: [each for each in kept_files(gateway) if each.endswith(".draft")])
        gateway.process.kill()
        gateway.process.wait()
    with brief.started() as gateway:
        until(lambda: kept_files(gateway) == [])

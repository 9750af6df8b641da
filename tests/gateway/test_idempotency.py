"""`Idempotency-Key`: the same request sent again is spoken and charged once, answered twice."""

import base64
import json

import httpx
import pytest

from tests.doubles.books import Books, Key, new_key, settled, until
from tests.doubles.repeating import (
    PRICE,
    ask,
    assert_charged_once,
    kept_files,
    moods,
    spoken,
    unique,
)
from tests.doubles.running import Running
from tests.doubles.sound import clip, read
from tests.doubles.upstream import Upstream

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_request_again_is_answered_from_what_was_kept(
    mine: httpx.Client, key: Key, upstream: Upstream, books: Books, form: str
) -> None:
    token, text = unique(), f"twice as {unique()}"
    first = spoken(mine, token, text, response_format=form)
    again = ask(mine, token, text, response_format=form)
    assert again.status_code == 200, again.text
    assert again.content == first.content
    assert read(again.content, form).seconds > 0.4
    assert len(upstream.said(text)) == 1
    assert_charged_once(books, key, text)
    assert len(books.ask("SELECT id FROM generation WHERE key_hash = :h", h=key.hash)) == 1


def test_a_replay_says_so_and_else_what_the_first_answer_said(mine: httpx.Client) -> None:
    token, text = unique(), f"head {unique()}"
    first, again = spoken(mine, token, text), ask(mine, token, text)
    for same in ("content-type", "x-generation-id", "x-provider", "x-model", "x-voice"):
        assert again.headers[same] == first.headers[same]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "first-audio;dur=" in again.headers["server-timing"]


def heard_in_events(response: httpx.Response) -> bytes:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    *deltas, done = [json.loads(line) for line in lines]
    assert done["type"] == "speech.audio.done"
    return b"".join(base64.b64decode(each["audio"]) for each in deltas)


def test_server_sent_events_are_replayed_as_such(mine: httpx.Client, upstream: Upstream) -> None:
    token, text = unique(), f"events {unique()}"
    first = spoken(mine, token, text, stream_format="sse")
    again = ask(mine, token, text, stream_format="sse")
    assert again.headers["content-type"] == first.headers["content-type"] == "text/event-stream"
    assert heard_in_events(again) == heard_in_events(first) == clip("pcm", 0.5)
    assert again.text.splitlines()[-2:] == first.text.splitlines()[-2:]
    assert len(upstream.said(text)) == 1


def test_neither_white_space_nor_the_order_of_names_makes_another_body(
    mine: httpx.Client, upstream: Upstream
) -> None:
    token, text = unique(), f"ordered {unique()}"
    escaped = "test\\/moody"
    bodies = [
        f'{{"model":"test/moody","input":"{text}","provider":{{"sort":"price","zdr":false}}}}',
        f'{{ "provider": {{"zdr":false,\n"sort":"price"}}, "input":"{text}","model":"{escaped}" }}',
    ]
    headers = {"idempotency-key": token}
    first = mine.post("/v1/audio/speech", content=bodies[0], headers=headers)
    settled(mine, first.headers["x-generation-id"])
    again = mine.post("/v1/audio/speech", content=bodies[1], headers=headers)
    assert first.status_code == again.status_code == 200, again.text
    assert again.headers["idempotent-replayed"] == "true"
    assert len(upstream.said(text)) == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/v1/audio/speech", {"speed": 1.5}),
        ("/v1/audio/speech", {"input": "Another text"}),
        ("/v1/audio/speech", {"stream_format": "sse"}),
        ("/v1/audio/speech", {"user": "somebody"}),
        ("/api/v1/audio/speech", {}),
    ],
)
def test_another_body_under_the_same_key_is_refused(
    mine: httpx.Client, key: Key, books: Books, path: str, change: dict[str, object]
) -> None:
    token, text = unique(), f"other {unique()}"
    spoken(mine, token, text)
    other = mine.post(
        path,
        json={"model": "test/moody", "input": text, "response_format": "pcm"} | change,
        headers={"idempotency-key": token},
    )
    assert other.status_code == 422
    assert other.headers["x-should-retry"] == "false"
    assert other.json()["error"]["param"] == "Idempotency-Key"
    assert_charged_once(books, key, text)


@pytest.mark.parametrize("token", ["", "x" * 256, "tab\there", "caf\xe9"])
def test_a_key_that_is_none_is_refused_by_name(
    mine: httpx.Client, upstream: Upstream, token: str
) -> None:
    text = f"none {unique()}"
    said = {"model": "test/moody", "input": text}
    headers = [(b"idempotency-key", token.encode("latin-1"))]
    response = mine.post("/v1/audio/speech", json=said, headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert "1 to 255" in response.json()["error"]["message"]
    assert upstream.said(text) == []


def test_the_longest_and_oddest_keys_are_good(mine: httpx.Client, upstream: Upstream) -> None:
    for token in ("x" * 255, "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|} x", "0"):
        text = f"odd {unique()}"
        spoken(mine, token, text)
        assert ask(mine, token, text).headers["idempotent-replayed"] == "true"
        assert len(upstream.said(text)) == 1


def test_another_api_key_has_idempotency_keys_of_its_own(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    token, text = unique(), f"own {unique()}"
    answers = []
    for _ in range(2):
        with gateway.client(new_key(client).plain) as each:
            answers.append(spoken(each, token, text))
    assert len(upstream.said(text)) == 2
    assert answers[0].headers["x-generation-id"] != answers[1].headers["x-generation-id"]
    assert not any("idempotent-replayed" in each.headers for each in answers)


def test_a_replay_needs_no_budget(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    token, text = unique(), f"broke {unique()}"
    key = new_key(client, str(PRICE * len(text) / 1e9))
    with gateway.client(key.plain) as mine:
        first = spoken(mine, token, text)
        assert ask(mine, unique(), text).status_code == 402
        assert ask(mine, token, text).content == first.content
    assert len(upstream.said(text)) == 1


def test_a_key_is_free_again_when_its_request_failed(
    mine: httpx.Client, key: Key, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"failed {unique()}"
    body = {"provider": moods("failing", "failing")}
    failed = ask(mine, token, text, **body)
    assert failed.status_code == 502, failed.text
    second = spoken(mine, token, text, **body)
    assert "idempotent-replayed" not in second.headers
    assert ask(mine, token, text, **body).content == second.content
    assert len(upstream.said(text)) == 3
    assert_charged_once(books, key, text)


def test_a_key_is_free_again_when_its_clip_broke_off(
    mine: httpx.Client, key: Key, gateway: Running, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"broken {unique()}"
    body = {"provider": moods("cut-in-the-middle")}
    with pytest.raises(httpx.RemoteProtocolError):
        ask(mine, token, text, **body)
    sql = "SELECT id, status FROM generation WHERE key_hash = :hash"
    [broken] = until(lambda: [e for e in books.ask(sql, hash=key.hash) if e["status"] == "voided"])
    assert str(broken["id"]) not in " ".join(kept_files(gateway))
    second = spoken(mine, token, text, **body)
    assert second.content == clip("pcm", 0.51)
    assert len(upstream.said(text)) == 2
    assert_charged_once(books, key, text)


def test_while_it_runs_a_repeat_is_told_to_come_back(
    mine: httpx.Client, key: Key, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"running {unique()}"
    said = {"model": "test/in-halves", "input": text, "response_format": "pcm"}
    headers = {"idempotency-key": token}
    with mine.stream("POST", "/v1/audio/speech", json=said, headers=headers) as first:
        repeat = ask(mine, token, text, model="test/in-halves")
        other = ask(mine, token, text + "!", model="test/in-halves")
        upstream.said(text)[0].go.set()
        whole = first.read()
    assert (repeat.status_code, repeat.headers["retry-after"]) == (409, "1")
    assert repeat.json()["error"]["param"] == "Idempotency-Key"
    assert other.status_code == 422
    settled(mine, first.headers["x-generation-id"])
    assert ask(mine, token, text, model="test/in-halves").content == whole
    assert_charged_once(books, key, text)


def test_audio_that_is_gone_is_told_to_be_and_not_charged_again(
    mine: httpx.Client, key: Key, gateway: Running, upstream: Upstream, books: Books
) -> None:
    token, text = unique(), f"gone {unique()}"
    generation = spoken(mine, token, text).headers["x-generation-id"]
    file = gateway.data / "kept" / generation
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    gone = ask(mine, token, text)
    assert gone.status_code == 410
    assert gone.headers["x-should-retry"] == "false"
    assert gone.headers["x-generation-id"] == generation
    assert gone.json()["error"]["metadata"]["generation_id"] == generation
    assert len(upstream.said(text)) == 1
    assert_charged_once(books, key, text)


def test_what_has_no_idempotency_key_is_not_kept(mine: httpx.Client, gateway: Running) -> None:
    said = {"model": "test/moody", "input": f"plain {unique()}"}
    generation = mine.post("/v1/audio/speech", json=said).headers["x-generation-id"]
    settled(mine, generation)
    assert generation not in kept_files(gateway)


def test_no_log_tells_an_idempotency_key(mine: httpx.Client, gateway: Running) -> None:
    token, text = f"canary-{unique()}", f"logged {unique()}"
    spoken(mine, token, text)
    (gateway.data / "kept" / ask(mine, token, text).headers["x-generation-id"]).unlink()
    assert ask(mine, token, text).status_code == 410
    assert ask(mine, token, text + "!").status_code == 422
    assert "canary-" not in gateway.said()

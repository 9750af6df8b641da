"""Providers, clients and databases that fail: who is told what, who pays, and what is left held."""

import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.conftest import CANARY, NewDatabase
from tests.doubles.books import Books, Key, new_key, settled, until
from tests.doubles.catalogue import firsts, offer, provider
from tests.doubles.running import Running, running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

FIRST, SECOND = 15_000, 30_000
"""Nano-USD per character of the first and the second provider."""

# behaviour -> how the record calls it, and whether the provider may bill for it
FAULTS = {
    "html": ("not_audio", True),
    "plain-text": ("not_audio", True),
    "disguised-html": ("not_audio", True),
    "disguised-json": ("not_audio", True),
    "json-odd": ("not_audio", True),
    "empty": ("not_audio", True),
    "wrong-type": ("not_audio", True),
    "wrong-audio": ("not_audio", True),
    "compressed": ("not_audio", True),
    "bomb": ("not_audio", True),
    "cut-clean-at-start": ("not_audio", True),
    "cut-at-start": ("broken_off", True),
    "reset": ("provider_overloaded", True),
    "huge-header": ("provider_overloaded", True),
    "not-http": ("provider_overloaded", True),
    "conflict": ("provider_overloaded", True),
    "failing": ("provider_overloaded", True),
    "bad-gateway": ("provider_overloaded", True),
    "gateway-timeout": ("provider_overloaded", True),
    "overloaded": ("provider_overloaded", True),
    "overloaded-529": ("provider_overloaded", True),
    "json-code": ("provider_overloaded", True),
    "late-there": ("timeout", True),
    "redirect": ("invalid_request", False),
    "bad-request": ("invalid_request", False),
    "too-large": ("invalid_request", False),
    "unprocessable": ("invalid_request", False),
    "json-refusal": ("invalid_request", False),
    "bad-key": ("credential_refused", False),
    "forbidden": ("credential_refused", False),
    "json-key": ("credential_refused", False),
    "no-credit": ("quota_exhausted", False),
    "no-credit-401": ("quota_exhausted", False),
    "no-credit-402": ("quota_exhausted", False),
    "json-quota": ("quota_exhausted", False),
    "missing": ("not_offered", False),
    "moved": ("not_offered", False),
    "json-missing": ("not_offered", False),
    "too-many": ("rate_limit_exceeded", False),
    "too-many-silent": ("rate_limit_exceeded", False),
    "json-status": ("rate_limit_exceeded", False),
    "throttled-400": ("rate_limit_exceeded", False),
    "refused": ("provider_unreachable", False),
    "hang": ("timeout", True),
    "head-only": ("timeout", True),
    "drip-at-start": ("timeout", True),
}
SILENT = ("hang", "head-only", "drip-at-start")
QUICK = [name for name in FAULTS if name not in SILENT]
ONCE = {"timeout", "rate_limit_exceeded", "quota_exhausted", "credential_refused"}
ONCE |= {"not_offered", "invalid_request"}
"""Error types after which the same provider is not asked again."""
RESTING = {"overloaded": "3", "overloaded-529": "3", "too-many": "7"}
"""Behaviours that ask for so many seconds of rest, more than one request waits."""

# Clips that go wrong once audio has gone out: behaviour, form, and how the record calls it.
BROKEN = [
    *(("cut-in-the-middle", form, "broken_off") for form in ("pcm", "mp3", "wav")),
    *(("reset-in-the-middle", form, "broken_off") for form in ("pcm", "mp3")),
]
JUDGED = [
    *(("cut-clean", form, "broken_off") for form in ("pcm", "mp3", "wav", "opus", "flac")),
    *(("oversize", form, "broken_off") for form in ("pcm", "mp3")),
    ("drip", "mp3", "timeout"),
]


def speak(client: httpx.Client, model: str, text: str, **body: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"model": model, "input": text} | body)


def tried(record: dict[str, object]) -> list[tuple[object, object, object]]:
    responses = record["provider_responses"]
    assert isinstance(responses, list)
    return [(each["provider_name"], each["outcome"], each["error_type"]) for each in responses]


def usd(nano: int) -> float:
    return nano / 1e9


# A provider that fails, with another behind it.


@pytest.mark.parametrize(
    ("fault", "form"),
    [(fault, "mp3") for fault in QUICK]
    + [("disguised-html", form) for form in ("wav", "opus", "aac", "flac", "pcm")]
    + [("cut-at-start", form) for form in ("wav", "opus", "aac", "flac")]
    + [("wrong-audio", "wav"), ("empty", "pcm"), ("html", "pcm")],
)
def test_a_fault_before_the_first_audio_is_spoken_by_the_next(
    mine: httpx.Client, gateway: Running, upstream: Upstream, fault: str, form: str
) -> None:
    text = f"{fault} as {form} on {gateway.url}"
    response = speak(mine, f"pair/{fault}", text, response_format=form)
    assert response.status_code == 200, response.text
    assert read(response.content, form).seconds == pytest.approx(1.0, abs=0.15)
    assert response.headers["x-provider"] == "second"
    assert response.headers["x-attempts"] == "2"
    assert_fell_back(mine, response, fault, text)
    asked = [each.behaviour for each in upstream.said(text)]
    assert asked == ([fault] if fault != "refused" else []) + ["chunked"]


@pytest.mark.parametrize("fault", SILENT)
def test_silence_is_spoken_by_the_next_once_the_attempt_is_over(
    mine: httpx.Client, gateway: Running, upstream: Upstream, fault: str
) -> None:
    text = f"{fault} on {gateway.url}"
    begun = time.monotonic()
    response = speak(mine, f"pair/{fault}", text)
    assert 3 <= time.monotonic() - begun < 5
    assert response.headers["x-provider"] == "second"
    assert_fell_back(mine, response, fault, text)
    assert upstream.said(text)[0].gone.wait(5), "the silent one was not hung up on"


def assert_fell_back(client: httpx.Client, response: httpx.Response, fault: str, text: str) -> None:
    record = settled(client, response.headers["x-generation-id"])
    kind, billed = FAULTS[fault]
    first = firsts(fault)["pair"]
    assert tried(record) == [(first, "failed", kind), ("second", "done", None)]
    assert record["status"] == "settled"
    assert record["fallbacks"] == 1
    assert record["characters"] == len(text)
    assert record["usage"] == pytest.approx(usd(SECOND * len(text)))
    owed = SECOND + (FIRST if billed else 0)
    assert record["upstream_inference_cost"] == pytest.approx(usd(owed * len(text)))


# A provider that fails, alone.


@pytest.mark.parametrize("fault", QUICK)
def test_a_fault_with_nobody_behind_it_is_told_and_costs_nothing(
    client: httpx.Client, gateway: Running, books: Books, fault: str
) -> None:
    key = new_key(client)
    text = f"{fault} alone on {gateway.url}"
    with gateway.client(key.plain) as mine:
        response = speak(mine, f"test/{fault}", text)
    assert response.status_code == 502, response.text
    kind, billed = FAULTS[fault]
    error = response.json()["error"]
    attempts = error["metadata"]["attempts"]
    once = kind in ONCE or fault in RESTING
    assert [each["error_type"] for each in attempts] == [kind] * (1 if once else 2)
    assert response.headers.get("retry-after") == RESTING.get(fault)
    assert {each["provider"] for each in attempts} == {fault}
    assert CANARY not in response.text
    record = settled(client, response.headers["x-generation-id"])
    assert (record["status"], record["cost"], record["characters"]) == ("voided", "0", 0)
    assert [each[2] for each in tried(record)] == [kind] * len(attempts)
    owed = FIRST * len(text) * len(attempts) if billed else 0
    assert record["upstream_inference_cost"] == pytest.approx(usd(owed))
    books.assert_balanced(key.hash)


@pytest.mark.parametrize("round_", range(5))
def test_a_deadline_is_kept_against_silence(
    client: httpx.Client, gateway: Running, upstream: Upstream, round_: int
) -> None:
    text = f"deadline {round_} on {gateway.url}"
    begun = time.monotonic()
    response = speak(client, "test/hang", text, deadline_ms=300)
    assert 0.29 < time.monotonic() - begun < 0.8
    assert response.status_code == 504, response.text
    assert response.json()["error"]["metadata"]["attempts"][0]["error_type"] == "timeout"
    record = settled(client, response.headers["x-generation-id"])
    assert (record["status"], record["cost"]) == ("voided", "0")
    assert upstream.said(text)[0].gone.wait(5)


def test_a_deadline_leaves_the_next_its_share(mine: httpx.Client) -> None:
    begun = time.monotonic()
    response = speak(mine, "pair/hang", "time enough for the second", deadline_ms=600)
    assert time.monotonic() - begun < 0.8
    assert response.status_code == 200, response.text
    record = settled(mine, response.headers["x-generation-id"])
    assert tried(record) == [("hang", "failed", "timeout"), ("second", "done", None)]


def test_a_deadline_ends_the_falling_back_too(mine: httpx.Client) -> None:
    begun = time.monotonic()
    response = speak(mine, "test/hang", "no time", models=["again/head-only"], deadline_ms=300)
    assert time.monotonic() - begun < 0.8
    assert response.status_code == 504
    record = settled(mine, response.headers["x-generation-id"])
    assert tried(record) == [("hang", "failed", "timeout"), ("head-only", "failed", "timeout")]


# A clip that breaks.


@pytest.mark.parametrize(("fault", "form", "kind"), BROKEN + JUDGED)
@pytest.mark.parametrize("family", ["test", "pair"])
def test_a_clip_that_breaks_off_is_seen_to_break_and_not_charged(  # noqa: PLR0913, PLR0917
    mine: httpx.Client, key: Key, books: Books, family: str, fault: str, form: str, kind: str
) -> None:
    body = {"model": f"{family}/{fault}", "input": "Broken", "response_format": form}
    heard: list[bytes] = []
    with mine.stream("POST", "/v1/audio/speech", json=body) as response:
        generation = response.headers["x-generation-id"]
        assert response.headers["x-attempts"] == "1"
        with pytest.raises(httpx.RemoteProtocolError):
            heard.extend(response.iter_raw())
    assert sum(map(len, heard)) > 1000
    record = settled(mine, generation)
    assert (record["status"], record["cost"], record["characters"]) == ("voided", "0", 0)
    assert tried(record) == [(fault, "failed", kind)]
    assert record["upstream_inference_cost"] == pytest.approx(usd(FIRST * len("Broken")))
    books.assert_balanced(key.hash)


def test_a_broken_clip_as_events_ends_with_an_error_and_not_with_done(
    client: httpx.Client,
) -> None:
    body = {"model": "test/cut-in-the-middle", "input": "Broken", "stream_format": "sse"}
    said: list[str] = []
    with (
        client.stream("POST", "/v1/audio/speech", json=body) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        said.extend(response.iter_text())
    assert '"type":"error"' in "".join(said)
    assert "speech.audio.done" not in "".join(said)


# What providers send beside the audio.


def test_an_endless_request_id_does_not_keep_the_request_from_being_settled(
    client: httpx.Client, books: Books
) -> None:
    response = speak(client, "test/long-id", "Whose id is this?")
    assert response.status_code == 200
    record = settled(client, response.headers["x-generation-id"])
    assert record["status"] == "settled"
    assert record["upstream_id"] is None


# The provider's key.


def test_a_providers_key_is_told_to_nobody_but_the_provider(
    tmp_path: Path, new_database: NewDatabase, upstream: Upstream
) -> None:
    faults = [name for name in QUICK if name != "refused"]
    faults += ["fine", "cut-in-the-middle"]
    rows = [
        provider(name, upstream.address(name), offer(f"with/{name}", "1"), key="TEST_SECRET_KEY")
        for name in faults
    ]
    extra = tmp_path / "providers.toml"
    extra.write_text("\n".join(rows))
    own = {"GATEWAY_CATALOG": str(extra), "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    with (
        running(tmp_path, new_database("sqlite"), TEST_SECRET_KEY=CANARY, **own) as started,
        started.client() as client,
    ):
        told = [_whatever_comes(client, f"with/{name}", "A secret") for name in faults]
        told += [client.get(path).content for path in ("/v1/models", "/v1/generations")]
        books = Books(started)
        until(lambda: not books.ask("SELECT id FROM generation WHERE status = 'held'"))
    heard = [each for each in upstream.said("A secret") if each.behaviour in faults]
    assert {each.headers["authorization"] for each in heard} == {f"Bearer {CANARY}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    database = Path(started.environ["GATEWAY_DATABASE_URL"].partition("///")[2])
    told += [file.read_bytes() for file in [*files, *database.parent.iterdir()]]
    assert len(told) > len(faults) + 4
    assert not any(CANARY.encode() in each for each in told)


def _whatever_comes(client: httpx.Client, model: str, text: str) -> bytes:
    """The answer's head and as much of its body as comes."""
    told = b""
    body = {"model": model, "input": text}
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        told += str(response.headers).encode()
        with suppress(httpx.RemoteProtocolError):
            for chunk in response.iter_raw():
                told += chunk
    return told

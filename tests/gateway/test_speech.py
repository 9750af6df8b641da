"""Speech from the running gateway: formats, streaming, headers, both base paths."""

import base64
import json
import time

import httpx
import pytest

from tests.doubles.books import settled
from tests.doubles.running import Running
from tests.doubles.sound import clip, read
from tests.doubles.upstream import Upstream

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
TEXT = "The quick brown fox"
HEADERS = (
    "x-generation-id",
    "x-request-id",
    "x-provider",
    "x-model",
    "x-voice",
    "x-attempts",
    "x-cache",
    "traceparent",
    "server-timing",
    "x-accel-buffering",
)


def speak(client: httpx.Client, path: str = "/v1/audio/speech", **body: object) -> httpx.Response:
    return client.post(path, json={"model": "auto", "input": TEXT} | body)


@pytest.mark.parametrize("form", FORMATS)
def test_the_embedded_voice_speaks_every_format(client: httpx.Client, form: str) -> None:
    response = speak(client, response_format=form, voice="alloy")
    assert response.status_code == 200, response.text
    heard = read(response.content, form)
    assert heard.rate == (48_000 if form == "opus" else 24_000)
    assert heard.channels == 1
    assert 0.8 < heard.seconds < 3
    assert heard.loudest > 3000


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("offered", FORMATS)
def test_any_format_comes_from_an_offer_that_has_only_another(
    client: httpx.Client, offered: str, wanted: str
) -> None:
    response = speak(client, model=f"only/{offered}", response_format=wanted)
    assert response.status_code == 200, response.text
    heard = read(response.content, wanted)
    assert heard.rate == (48_000 if wanted == "opus" else 24_000)
    assert heard.seconds == pytest.approx(1.0, abs=0.15)
    assert 8000 < heard.loudest < 16_000


def test_bytes_in_the_asked_format_pass_untouched(client: httpx.Client) -> None:
    assert speak(client, model="only/opus", response_format="opus").content == clip("opus")


def test_an_mp3_passes_without_its_id3_tag(client: httpx.Client) -> None:
    audio = speak(client, model="only/mp3", response_format="mp3").content
    assert clip("mp3").startswith(b"ID3")
    assert clip("mp3").endswith(audio)
    assert audio[0] == 0xFF


def test_a_streamed_wav_has_open_sizes_and_nothing_before_its_data(client: httpx.Client) -> None:
    audio = speak(client, response_format="wav").content
    assert audio[:4] + audio[8:16] == b"RIFFWAVEfmt "
    assert audio[4:8] == audio[40:44] == b"\xff\xff\xff\xff"
    assert audio[36:40] == b"data"


def test_the_head_tells_who_spoke(client: httpx.Client) -> None:
    response = speak(client, voice="nova")
    assert [name for name in HEADERS if name not in response.headers] == []
    assert response.headers["x-provider"] == "local"
    assert response.headers["x-model"] == "local/espeak-ng"
    assert response.headers["x-voice"] == "en-us+f4"
    assert response.headers["x-attempts"] == "1"
    assert response.headers["content-type"] == "audio/mpeg"
    for token in ("plan;dur=", "hold;dur=", "first-audio;dur="):
        assert token in response.headers["server-timing"]


def test_each_base_path_has_its_own_default_format(client: httpx.Client) -> None:
    assert speak(client).headers["content-type"] == "audio/mpeg"
    openrouter = speak(client, "/api/v1/audio/speech")
    assert openrouter.headers["content-type"] == "audio/pcm;rate=24000;channels=1"


def test_server_sent_events_carry_the_audio_and_then_the_usage(client: httpx.Client) -> None:
    response = speak(client, stream_format="sse", response_format="wav")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [
        json.loads(line.removeprefix("data: "))
        for line in response.text.splitlines()
        if line.startswith("data: ")
    ]
    assert response.text.count("\n\n") == len(events)
    *deltas, done = events
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert set(done["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}
    assert read(audio, "wav").seconds > 0.8


def test_the_first_audio_leaves_long_before_the_last(client: httpx.Client) -> None:
    body = {"model": "test/endless", "input": "streams", "response_format": "pcm"}
    begun = time.monotonic()
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        assert response.status_code == 200
        first = next(response.iter_raw())
    assert first
    assert time.monotonic() - begun < 5


def test_a_client_that_leaves_ends_the_upstream_and_pays(
    client: httpx.Client, upstream: Upstream, gateway: Running
) -> None:
    text = f"leaving early on {gateway.url}"
    body = {"model": "test/endless", "input": text, "response_format": "pcm"}
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        next(response.iter_raw())
        generation = response.headers["x-generation-id"]
    [heard] = upstream.said(text)
    assert heard.gone.wait(5), "the upstream was not cancelled"
    record = settled(client, generation)
    assert record["status"] == "settled"
    assert record["cancelled"] is True
    assert record["characters"] == len(text)


def test_a_client_that_leaves_before_the_first_audio_pays_nothing(
    client: httpx.Client, upstream: Upstream, gateway: Running
) -> None:
    text = f"leaving at once on {gateway.url}"
    body = {"model": "test/hang", "input": text}
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/audio/speech", json=body, timeout=1)
    [heard] = upstream.said(text)
    assert heard.gone.wait(5), "the upstream was not cancelled"
    [record] = [
        each
        for each in client.get("/v1/generations").json()["data"]
        if each["requested_model"] == "test/hang" and each["input_characters"] == len(text)
    ]
    record = settled(client, record["id"])
    assert record["status"] == "voided"
    assert record["cost"] == "0"
    assert record["characters"] == 0


def test_turns_of_one_voice_are_said_one_after_another(
    client: httpx.Client, upstream: Upstream
) -> None:
    turns = [{"text": "Good morning."}, {"text": "Good night."}]
    assert speak(client, model="test/fine", input=turns).status_code == 200
    assert upstream.said("Good morning.\nGood night.")


def test_the_request_goes_out_in_openai_words_and_with_our_trace(
    client: httpx.Client, upstream: Upstream, gateway: Running
) -> None:
    text = f"what goes out on {gateway.url}"
    response = speak(
        client,
        model="test/fine",
        input=text,
        voice="alloy",
        speed=1.5,
        instructions="Calmly.",
        seed=7,
    )
    [heard] = upstream.said(text)
    assert heard.body == {
        "model": "m",
        "input": text,
        "voice": "alloy",
        "response_format": "mp3",
        "speed": 1.5,
        "instructions": "Calmly.",
        "seed": 7,
    }
    assert heard.headers["accept-encoding"] == "identity"
    assert heard.headers["traceparent"] == response.headers["traceparent"]
    assert "authorization" not in heard.headers


def test_the_callers_trace_goes_on(client: httpx.Client) -> None:
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = client.post(
        "/v1/audio/speech", json={"model": "auto", "input": TEXT}, headers={"traceparent": context}
    )
    assert response.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"

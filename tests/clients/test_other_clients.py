"""Applications that bring their own HTTP: the bodies they send, word by word."""

import httpx
import pytest

from tests.clients.fox import FORMATS, FOX, assert_fox, audio_of, events
from tests.doubles.running import Running
from tests.doubles.sound import read
from tests.doubles.upstream import Upstream

THIRTEEN = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "marin"),
    *("nova", "onyx", "sage", "shimmer", "verse", "cedar"),
)


def speak(client: httpx.Client, body: dict[str, object], **headers: str) -> httpx.Response:
    response = client.post("/v1/audio/speech", json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


@pytest.fixture
def stranger(gateway: Running) -> httpx.Client:
    """A client that sends no key."""
    return httpx.Client(base_url=gateway.url)


def test_open_webui_names_no_format_and_gets_mp3(client: httpx.Client) -> None:
    # OPENAI_PARAMS, which an administrator writes, is merged into every body.
    params = {"speed": 1.1, "lang_code": "a", "volume_multiplier": 1.0}
    response = speak(
        client,
        {"input": FOX, "voice": "alloy", "model": "tts-1"} | params,
        **{"X-OpenWebUI-User-Name": "Ada", "X-OpenWebUI-User-Email": "ada@example.test"},
    )
    assert response.headers["content-type"] == "audio/mpeg"
    assert_fox(response.content, "mp3")


def test_open_webui_lists_models_and_voices_without_a_key(stranger: httpx.Client) -> None:
    with stranger:
        models = stranger.get("/v1/audio/models").json()["models"]
        fallback = stranger.get("/v1/models").json()["data"]
        voices = stranger.get("/v1/audio/voices").json()["voices"]
    assert {"local/espeak-ng", "tts-1", "auto"} <= {model["id"] for model in models}
    assert {model["id"] for model in models} == {model["id"] for model in fallback}
    assert set(THIRTEEN) <= {voice["id"] for voice in voices}
    assert all(voice["name"] for voice in voices)


def test_voices_tell_who_has_them_in_which_languages_and_with_what(client: httpx.Client) -> None:
    told = {voice["id"]: voice for voice in client.get("/v1/audio/voices").json()["voices"]}
    embedded = told["en-us+f1"]
    assert (embedded["models"], embedded["providers"]) == (["local/espeak-ng"], ["local"])
    assert embedded["capabilities"] == ["speed", "streaming"]
    assert not embedded["family"]
    assert told["alloy"]["family"]
    assert {"fine", "dated"} <= set(told["alloy"]["providers"])
    assert told["alloy"]["languages"] == ["en"]


def test_voices_of_one_model_are_its_own_and_those_that_it_understands(
    client: httpx.Client,
) -> None:
    def of(**query: str) -> set[str]:
        voices = client.get("/v1/audio/voices", params=query).json()["voices"]
        return {voice["id"] for voice in voices}

    assert of(model="test/fine") == {"alloy", "test-voice"}
    assert of(provider="fine") == of(model="test/fine", provider="fine")
    assert of(model="test/fine", provider="nobody") == set()
    assert set(THIRTEEN) < of(model="tts-1") == of(model="local/espeak-ng")
    assert client.get("/v1/audio/voices?model=no/such").status_code == 404


def test_providers_tell_what_they_have_and_why_they_are_off(client: httpx.Client) -> None:
    told = {each["slug"]: each for each in client.get("/v1/providers").json()["data"]}
    assert told["keyless"]["off"] == "TEST_UNSET_KEY is not set"
    assert told["keyless"]["models"] == ["off/model"]
    assert (told["fine"]["off"], "test/fine" in told["fine"]["models"]) == (None, True)
    assert "http" not in str(told["fine"])


def test_open_webui_finds_the_reason_in_the_error_message(client: httpx.Client) -> None:
    body = {"input": FOX, "voice": "nobody-at-all", "model": "tts-1"}
    response = client.post("/v1/audio/speech", json=body)
    assert response.status_code == 400
    assert "nobody-at-all" in response.json()["error"]["message"]


@pytest.mark.parametrize("voice", [{}, {"voice": "alloy"}])
def test_librechat_names_a_backend_and_maybe_no_voice_and_gets_mp3(
    client: httpx.Client, voice: dict[str, object]
) -> None:
    response = speak(client, {"input": FOX, "model": "tts-1", "backend": "piper"} | voice)
    assert response.headers["content-type"] == "audio/mpeg"
    assert_fox(response.content, "mp3")


def test_librechat_may_join_the_mp3s_of_its_pieces(client: httpx.Client) -> None:
    body = {"input": FOX, "model": "tts-1", "voice": "alloy"}
    pieces = [speak(client, body).content for _ in range(3)]
    apart = sum(read(piece, "mp3").seconds for piece in pieces)
    assert read(b"".join(pieces), "mp3").seconds == pytest.approx(apart, abs=0.2)


@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "auto", "local/espeak-ng", "test/fine"])
def test_livekit_asks_every_model_for_events(client: httpx.Client, model: str) -> None:
    response = speak(
        client,
        {
            "input": FOX,
            "model": model,
            "voice": "alloy",
            "response_format": "mp3",
            "speed": 1.0,
            "stream_format": "sse",
        },
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    assert_fox(audio_of(events(response.text)), "mp3")


def test_livekit_gets_plain_audio_from_tts_1(client: httpx.Client) -> None:
    response = speak(
        client,
        {"input": FOX, "model": "tts-1", "voice": "ash", "response_format": "mp3", "speed": 1.0},
    )
    assert response.headers["content-type"] == "audio/mpeg"
    assert_fox(response.content, "mp3")


def test_livekit_warms_up_at_the_base_path_and_is_told_honestly(client: httpx.Client) -> None:
    response = client.get("/v1/")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == 404


@pytest.mark.parametrize("form", FORMATS)
def test_home_assistant_sends_none_as_a_word(client: httpx.Client, form: str) -> None:
    response = speak(
        client,
        {
            "model": "gpt-4o-mini-tts",
            "voice": "marin",
            "input": FOX,
            "instructions": "None",
            "speed": 1.0,
            "response_format": form,
        },
        accept="application/octet-stream",
    )
    assert_fox(response.content, form)


@pytest.mark.parametrize("voice", THIRTEEN)
def test_home_assistants_thirteen_voices_all_speak(client: httpx.Client, voice: str) -> None:
    assert_fox(speak(client, {"model": "tts-1", "voice": voice, "input": FOX}).content, "mp3")


def test_what_these_clients_add_does_not_reach_a_provider(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    text = f"added by clients on {gateway.url}"
    body = {"model": "test/fine", "input": text, "voice": None, "instructions": "", "backend": "x"}
    speak(client, body)
    [heard] = upstream.said(text)
    assert set(heard.body) == {"model", "input", "voice", "response_format"}


@pytest.mark.parametrize("path", ["/health", "/v1/readyz", "/v1/test", "/", "/v1/internal/ui"])
def test_no_path_pretends_to_be_another_server(stranger: httpx.Client, path: str) -> None:
    with stranger:
        response = stranger.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["code"] == 404

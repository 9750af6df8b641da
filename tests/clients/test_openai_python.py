"""The official OpenAI SDK for Python, with nothing changed but its base URL and key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from tests.clients.fox import FORMATS, FOX, assert_fox, audio_of, events
from tests.doubles.running import Running

Statuses = Callable[[str], list[int]]
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm;rate=24000;channels=1",
}


@pytest.fixture
def sdk(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as sdk:
        yield sdk


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("model", ["gpt-4o-mini-tts", "tts-1", "auto"])
def test_it_speaks_every_format(sdk: openai.OpenAI, model: str, form: str) -> None:
    speech = sdk.audio.speech.create(model=model, voice="alloy", input=FOX, response_format=form)
    assert_fox(speech.content, form)
    assert speech.response.headers["content-type"] == TYPES[form]


def test_it_speaks_mp3_when_no_format_is_named(sdk: openai.OpenAI, tmp_path: Path) -> None:
    speech = sdk.audio.speech.create(model="tts-1", voice="alloy", input=FOX)
    speech.write_to_file(tmp_path / "fox.mp3")
    assert_fox((tmp_path / "fox.mp3").read_bytes(), "mp3")


@pytest.mark.parametrize("form", FORMATS)
def test_the_streamed_chunks_make_up_the_whole(sdk: openai.OpenAI, form: str) -> None:
    streaming = sdk.audio.speech.with_streaming_response
    with streaming.create(
        model="tts-1", voice="alloy", input=FOX, response_format=form
    ) as response:
        audio = b"".join(response.iter_bytes())
    assert_fox(audio, form)


def test_audio_arrives_while_the_rest_is_still_being_made(sdk: openai.OpenAI) -> None:
    streaming = sdk.audio.speech.with_streaming_response
    with streaming.create(
        model="test/endless", voice="alloy", input="on and on", response_format="pcm"
    ) as response:
        chunks = response.iter_bytes(4096)
        assert len(next(chunks)) == 4096
        assert len(next(chunks)) == 4096


async def test_the_async_client_speaks_and_streams(gateway: Running) -> None:
    url = f"{gateway.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=gateway.key) as sdk:
        whole = await sdk.audio.speech.create(model="tts-1", voice="alloy", input=FOX)
        streaming = sdk.audio.speech.with_streaming_response
        async with streaming.create(
            model="tts-1", voice="alloy", input=FOX, response_format="wav"
        ) as response:
            streamed = b"".join([chunk async for chunk in response.iter_bytes()])
    assert_fox(whole.content, "mp3")
    assert_fox(streamed, "wav")


@pytest.mark.parametrize("form", ["mp3", "pcm"])
def test_stream_format_sse_comes_as_speech_events(sdk: openai.OpenAI, form: str) -> None:
    speech = sdk.audio.speech.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input=FOX,
        response_format=form,
        stream_format="sse",
    )
    assert speech.response.headers["content-type"].startswith("text/event-stream")
    assert_fox(audio_of(events(speech.text)), form)


def test_the_request_id_is_told_with_speech_and_with_errors(sdk: openai.OpenAI) -> None:
    raw = sdk.audio.speech.with_raw_response.create(model="tts-1", voice="alloy", input=FOX)
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.request_id.startswith("req-")
    assert raw.headers["x-generation-id"].startswith("gen-tts-")
    assert_fox(raw.parse().content, "mp3")
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.audio.speech.create(model="no/such", voice="alloy", input=FOX)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req-")


def test_a_voice_may_come_as_an_id(sdk: openai.OpenAI) -> None:
    raw = sdk.audio.speech.with_raw_response.create(model="auto", voice={"id": "nova"}, input=FOX)
    assert raw.headers["x-voice"] == "en-us+f4"
    assert_fox(raw.parse().content, "mp3")


@pytest.mark.parametrize("key", ["sk-no-key-of-ours", "vox_" + "0" * 50])
def test_a_wrong_key_is_an_authentication_error(sdk: openai.OpenAI, key: str) -> None:
    with pytest.raises(openai.AuthenticationError, match="API key") as caught:
        sdk.with_options(api_key=key).audio.speech.create(model="auto", voice="alloy", input=FOX)
    assert caught.value.status_code == 401
    assert caught.value.code == "401"
    assert caught.value.type == "authentication_error"


def test_an_unknown_model_is_a_not_found_error(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no/such") as caught:
        sdk.audio.speech.create(model="no/such", voice="alloy", input=FOX)
    assert caught.value.param == "model"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"voice": "nobody-at-all"}, "voice"),
        ({"speed": 4.5}, "speed"),
        ({"speed": 0.1}, "speed"),
        ({"response_format": "ogg"}, "response_format"),
        ({"input": ""}, "input"),
        ({"extra_body": {"no_such_field": 1}}, "no_such_field"),
    ],
)
def test_what_cannot_be_spoken_is_a_bad_request_that_names_its_field(
    sdk: openai.OpenAI, wrong: dict[str, object], param: str
) -> None:
    asked = {"model": "auto", "voice": "alloy", "input": FOX} | wrong
    with pytest.raises(openai.BadRequestError, match=param) as caught:
        sdk.audio.speech.create(**asked)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.param == param
    assert caught.value.code == "400"


def test_a_spent_budget_is_told_once_and_not_retried(
    sdk: openai.OpenAI, penniless_key: str, statuses: Statuses
) -> None:
    poor = sdk.with_options(api_key=penniless_key)
    with pytest.raises(openai.APIStatusError) as caught:
        poor.audio.speech.create(model="test/fine", voice="alloy", input=FOX)
    assert caught.value.status_code == 402
    assert caught.value.type == "insufficient_quota"
    assert statuses(penniless_key) == [402]


def test_a_free_voice_speaks_without_any_budget(
    sdk: openai.OpenAI, penniless_key: str, statuses: Statuses
) -> None:
    poor = sdk.with_options(api_key=penniless_key)
    assert_fox(poor.audio.speech.create(model="auto", voice="alloy", input=FOX).content, "mp3")
    assert statuses(penniless_key) == [200]


def test_models_are_listed_with_the_names_that_clients_come_with(sdk: openai.OpenAI) -> None:
    listed = {model.id: model for model in sdk.models.list()}
    assert {"local/espeak-ng", "task/default", "auto", "tts-1", "gpt-4o-mini-tts"} <= set(listed)
    assert {model.object for model in listed.values()} == {"model"}
    assert listed["local/espeak-ng"].owned_by == "local"
    assert "off/model" not in listed


@pytest.mark.parametrize("name", ["local/espeak-ng", "task/default", "tts-1"])
def test_one_model_is_retrieved_by_its_id(sdk: openai.OpenAI, name: str) -> None:
    model = sdk.models.retrieve(name)
    assert model.id == name
    assert model.object == "model"


def test_retrieving_an_unknown_model_is_a_not_found_error(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no/such") as caught:
        sdk.models.retrieve("no/such")
    assert caught.value.param == "model"

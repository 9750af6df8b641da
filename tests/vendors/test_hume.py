"""Hume: their SDK and our wire hear the same from one fake, and its errors by their class."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from providers import Client, Provider, Sampling, Turn
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import begun, failure, heard, offer, provider, saying
from tests.doubles.vendors.hume import HUME, LINES
from tests.vendors.conftest import sdk

FORMATS = {"mp3": "mp3", "pcm": "pcm", "wav": "wav"}
OFFER = offer(FORMATS, upstream="octave-2", extra={"version": "2"})
KINDS = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no voice": ("not_offered", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "too long": ("invalid_request", "nothing", None),
    "at once": ("rate_limit_exceeded", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 3.0),
    "broken": ("provider_overloaded", "maybe", None),
    "away": ("provider_overloaded", "maybe", 2.0),
}
AFTER_THE_HEAD = {
    "late limit": ("rate_limit_exceeded", "rate_limit_exceeded"),
    "late trouble": ("provider_overloaded", "500"),
    "late riddle": ("not_audio", None),
    "trouble in the middle": ("broken_off", "402"),
    "nothing": ("not_audio", None),
    "no lines": ("not_audio", None),
    "no audio in it": ("not_audio", None),
    "not base64": ("not_audio", None),
    "not JSON": ("not_audio", None),
    "a line without end": ("not_audio", None),
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(HUME) as running:
        yield running


def whom(fake: Fake) -> Provider:
    return provider("hume", fake.url, auth="X-Hume-Api-Key")


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("hume", fake.url, "Hello")
    cool = Sampling(temperature=0.5)
    speech = saying("Hello", speed=1.1, instructions="Whisper.", sampling=cool)
    audio, _ = await heard(client, whom(fake), OFFER, speech)
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert (theirs.method, theirs.path) == (ours.method, ours.path)
    assert theirs.headers["x-hume-api-key"] == ours.headers["x-hume-api-key"] == "test-key"
    assert json.loads(theirs.body) == json.loads(ours.body)


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_one_file(client: Client, fake: Fake, form: str) -> None:
    audio, _ = await heard(client, whom(fake), OFFER, saying("Hello", form))
    assert audio == spoken(form)
    assert json.loads(fake.heard[0].body)["strip_headers"] is True


async def test_the_generations_id_is_learned(client: Client, fake: Fake) -> None:
    _, [receipt] = await heard(client, whom(fake), OFFER, saying("Hello"))
    assert receipt.upstream_id == "hume-gen-1"


@pytest.mark.parametrize(
    ("row", "voice"),
    [
        ({}, {"name": "v", "provider": "HUME_AI"}),
        ({"voice_ids": {"v": "9e06"}}, {"id": "9e06", "provider": "HUME_AI"}),
        (
            {"extra": {"voice_provider": "CUSTOM_VOICE"}},
            {"name": "v", "provider": "CUSTOM_VOICE"},
        ),
    ],
)
async def test_a_voice_goes_by_its_name_or_its_id(
    client: Client, fake: Fake, row: dict[str, object], voice: dict[str, str]
) -> None:
    await heard(client, whom(fake), offer(FORMATS, **row), saying("Hello"))
    told = json.loads(fake.heard[0].body)
    assert told["utterances"][0]["voice"] == voice
    assert "voice_provider" not in told


async def test_what_was_said_before_goes_along_and_is_not_said(client: Client, fake: Fake) -> None:
    before = (Turn("a", "Who is there?"), Turn("b", "It is I."))
    await heard(client, whom(fake), OFFER, saying("Hello", context=before))
    told = json.loads(fake.heard[0].body)
    assert told["context"] == {"utterances": [{"text": "Who is there?"}, {"text": "It is I."}]}
    assert [each["text"] for each in told["utterances"]] == ["Hello"]


async def test_a_generation_that_is_named_goes_before_the_words(client: Client, fake: Fake) -> None:
    named = {"context": {"generation_id": "hume-gen-0"}}
    speech = saying("Hello", context=(Turn("a", "Who is there?"),), options=named)
    await heard(client, whom(fake), OFFER, speech)
    assert json.loads(fake.heard[0].body)["context"] == {"generation_id": "hume-gen-0"}


async def test_options_never_replace_what_is_metered(client: Client, fake: Fake) -> None:
    dearer = {"utterances": [{"text": "more"}] * 9, "num_generations": 5, "format": "dearer"}
    text = '<b>1 < 2 & "3"</b>\x07'
    await heard(client, whom(fake), OFFER, saying(text, options=dearer))
    told = json.loads(fake.heard[0].body)
    assert [each["text"] for each in told["utterances"]] == [text]
    assert (told["num_generations"], told["format"]) == (1, {"type": "pcm"})


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(HUME.errors)
    error = await failure(client, whom(fake), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]


@pytest.mark.parametrize("text", AFTER_THE_HEAD)
async def test_an_error_after_a_good_head_is_told_by_its_class(
    client: Client, fake: Fake, text: str
) -> None:
    assert set(AFTER_THE_HEAD) == set(LINES)
    error = await failure(client, whom(fake), OFFER, saying(text))
    assert (error.kind, error.code) == AFTER_THE_HEAD[text]


async def test_audio_is_passed_on_as_it_is_made_and_leaving_ends_it(client: Client) -> None:
    with Fake(HUME, pause=0.05) as slow:
        pieces = await begun(client, whom(slow), OFFER, saying("Hello"))
        assert slow.sent < 3
        await pieces.aclose()
        assert await asyncio.to_thread(slow.left.wait, 5)

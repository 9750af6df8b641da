"""Deepgram: their SDK and our wire hear the same from one fake, and its errors by their class."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from providers import Client, Provider
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import begun, failure, heard, offer, provider, saying
from tests.doubles.vendors.deepgram import DEEPGRAM
from tests.vendors.conftest import sdk

FORMATS = {
    "mp3": "encoding=mp3",
    "opus": "encoding=opus&container=ogg",
    "aac": "encoding=aac",
    "flac": "encoding=flac&sample_rate=48000",
    "wav": "encoding=linear16&container=wav&sample_rate=24000",
    "pcm": "encoding=linear16&container=none&sample_rate=24000",
}
OFFER = offer(FORMATS, upstream="aura-2", voice_ids={"v": "aura-2-thalia-en"})
KINDS = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no rights": ("credential_refused", "nothing", None),
    "no voice": ("invalid_request", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "too long": ("invalid_request", "nothing", None),
    "at once": ("rate_limit_exceeded", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 3.0),
    "busy": ("provider_overloaded", "maybe", None),
    "broken": ("provider_overloaded", "maybe", None),
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(DEEPGRAM) as running:
        yield running


def whom(fake: Fake) -> Provider:
    return provider("deepgram", fake.url, auth="Authorization: Token")


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("deepgram", fake.url, "Hello")
    audio, _ = await heard(client, whom(fake), OFFER, saying("Hello", speed=1.1))
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert (theirs.method, theirs.path, theirs.query) == (ours.method, ours.path, ours.query)
    assert theirs.headers["authorization"] == ours.headers["authorization"] == "Token test-key"
    assert json.loads(theirs.body) == json.loads(ours.body) == {"text": "Hello"}


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    audio, _ = await heard(client, whom(fake), OFFER, saying("Hello", form))
    assert audio == spoken(form)


async def test_what_it_counts_and_the_rate_are_learned(client: Client, fake: Fake) -> None:
    counting = provider("deepgram", fake.url, billed_units_header="dg-char-count")
    _, [receipt] = await heard(client, counting, OFFER, saying("Hello"))
    assert (receipt.upstream_id, receipt.billed_units) == ("dg-1", 5)
    assert receipt.sample_rate == 24_000


async def test_options_go_in_the_query_but_name_no_voice_of_their_own(
    client: Client, fake: Fake
) -> None:
    options = {"mip_opt_out": True, "tag": ["a", "b&c"], "model": "dear", "encoding": "mulaw"}
    await heard(client, whom(fake), OFFER, saying("Hello", options=options))
    query = fake.heard[0].query
    assert (query["model"], query["encoding"]) == ("aura-2-thalia-en", "linear16")
    assert (query["mip_opt_out"], query["tag"]) == ("true", "a")


async def test_the_audio_is_sent_to_nobody_else(client: Client, fake: Fake) -> None:
    options = {"callback": "https://stranger.example/", "callback_method": "put"}
    audio, _ = await heard(client, whom(fake), OFFER, saying("Hello", options=options))
    assert audio == spoken("pcm")
    assert not fake.heard[0].query.keys() & options.keys()


async def test_a_voice_and_markup_stay_what_they_are(client: Client, fake: Fake) -> None:
    text = '<speak>1 < 2 & "3"</speak>\x07'
    odd = offer(FORMATS, voice_ids={"v": "a&callback=b#c d/e"})
    await heard(client, whom(fake), odd, saying(text))
    [request] = fake.heard
    assert request.query["model"] == "a&callback=b#c d/e"
    assert json.loads(request.body) == {"text": text}


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(DEEPGRAM.errors)
    error = await failure(client, whom(fake), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]


@pytest.mark.parametrize(
    ("text", "code"),
    [("bad key", "INVALID_AUTH"), ("bad field", "INVALID_JSON"), ("too long", None)],
)
async def test_all_three_shapes_of_its_errors_are_read(
    client: Client, fake: Fake, text: str, code: str | None
) -> None:
    error = await failure(client, whom(fake), OFFER, saying(text))
    assert error.code == code


async def test_audio_is_passed_on_as_it_is_made_and_leaving_ends_it(client: Client) -> None:
    with Fake(DEEPGRAM, pause=0.05) as slow:
        pieces = await begun(client, whom(slow), OFFER, saying("Hello"))
        assert slow.sent < 3
        await pieces.aclose()
        assert await asyncio.to_thread(slow.left.wait, 5)

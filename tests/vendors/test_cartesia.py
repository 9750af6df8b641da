"""Cartesia: their SDK and our wires hear the same from one fake, and its errors by their class."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from providers import Client, Provider
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import begun, failure, heard, offer, provider, saying
from tests.doubles.vendors.cartesia import CARTESIA, EVENTS
from tests.vendors.conftest import sdk

FORMATS = {
    "mp3": "container=mp3&bit_rate=128000&sample_rate=44100",
    "pcm": "container=raw&encoding=pcm_s16le&sample_rate=24000",
    "wav": "container=wav&encoding=pcm_s16le&sample_rate=24000",
}
VOICE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
OFFER = offer(FORMATS, upstream="sonic-3.5", voice_ids={"v": VOICE})
VERSION = {"cartesia-version": "2026-08-14"}
WIRES = {"cartesia": "/tts/bytes", "cartesia_sse": "/tts/sse"}
KINDS = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no voice": ("not_offered", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "bad field, old": ("invalid_request", "nothing", None),
    "at once": ("rate_limit_exceeded", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 3.0),
    "broken": ("provider_overloaded", "maybe", None),
    "away": ("provider_overloaded", "maybe", 2.0),
}
AFTER_THE_HEAD = {
    "late limit": ("rate_limit_exceeded", "concurrency_limited"),
    "late trouble": ("provider_overloaded", "500"),
    "late refusal": ("invalid_request", "400"),
    "late riddle": ("not_audio", None),
    "trouble in the middle": ("broken_off", "quota_exceeded"),
    "stops short": ("broken_off", None),
    "nothing": ("not_audio", None),
    "no events": ("not_audio", None),
    "not base64": ("not_audio", None),
    "not JSON": ("not_audio", None),
    "a line without end": ("not_audio", None),
    "an event without end": ("not_audio", None),
}
both = pytest.mark.parametrize("wire", WIRES)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(CARTESIA) as running:
        yield running


def whom(wire: str, fake: Fake) -> Provider:
    return provider(wire, fake.url, sent_headers=VERSION)


@both
async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake, wire: str) -> None:
    by_sdk = sdk(wire, fake.url, "Hello")
    audio, _ = await heard(client, whom(wire, fake), OFFER, saying("Hello"))
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert theirs.path == ours.path == WIRES[wire]
    for name in ("authorization", "cartesia-version"):
        assert theirs.headers[name] == ours.headers[name]
    assert json.loads(theirs.body) == json.loads(ours.body)


async def test_events_are_asked_for_as_the_sdk_does(client: Client, fake: Fake) -> None:
    await heard(client, whom("cartesia_sse", fake), OFFER, saying("Hello"))
    assert fake.heard[0].headers["accept"] == "text/event-stream"


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    audio, _ = await heard(client, whom("cartesia", fake), OFFER, saying("Hello", form))
    assert audio == spoken(form)


async def test_the_answers_id_is_learned(client: Client, fake: Fake) -> None:
    _, [receipt] = await heard(client, whom("cartesia_sse", fake), OFFER, saying("Hello"))
    assert receipt.upstream_id == "ca-1"


@both
async def test_speed_joins_what_else_shapes_the_voice(
    client: Client, fake: Fake, wire: str
) -> None:
    calm = {"generation_config": {"emotion": "calm", "speed": 2.0}, "language": "en"}
    await heard(client, whom(wire, fake), OFFER, saying("Hello", speed=1.1, options=calm))
    told = json.loads(fake.heard[0].body)
    assert told["generation_config"] == {"emotion": "calm", "speed": 1.1}
    assert told["language"] == "en"


@both
async def test_options_never_replace_what_is_metered(client: Client, fake: Fake, wire: str) -> None:
    options = dict.fromkeys(("model_id", "transcript", "voice", "output_format"), "dearer")
    text = 'Say <break time="9s"/> & "so"\x07'
    await heard(client, whom(wire, fake), OFFER, saying(text, options=options))
    told = json.loads(fake.heard[0].body)
    assert (told["model_id"], told["transcript"]) == ("sonic-3.5", text)
    assert told["voice"]["id"] == VOICE
    assert told["output_format"]["sample_rate"] == 24_000


@both
@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(
    client: Client, fake: Fake, wire: str, text: str
) -> None:
    assert set(KINDS) == set(CARTESIA.errors)
    error = await failure(client, whom(wire, fake), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]


@pytest.mark.parametrize("text", AFTER_THE_HEAD)
async def test_an_error_after_a_good_head_is_told_by_its_class(
    client: Client, fake: Fake, text: str
) -> None:
    assert set(AFTER_THE_HEAD) == set(EVENTS)
    error = await failure(client, whom("cartesia_sse", fake), OFFER, saying(text))
    assert (error.kind, error.code) == AFTER_THE_HEAD[text]


async def test_what_broke_in_the_middle_may_be_billed(client: Client, fake: Fake) -> None:
    speech = saying("trouble in the middle")
    error = await failure(client, whom("cartesia_sse", fake), OFFER, speech)
    assert (error.owed, error.status) == ("maybe", 200)


@both
async def test_audio_is_passed_on_as_it_is_made_and_leaving_ends_it(
    client: Client, wire: str
) -> None:
    with Fake(CARTESIA, pause=0.05) as slow:
        pieces = await begun(client, whom(wire, slow), OFFER, saying("Hello"))
        assert slow.sent < 3
        await pieces.aclose()
        assert await asyncio.to_thread(slow.left.wait, 5)

"""DeepInfra's own inference: their SDK and our wire hear the same, and the cost comes exactly."""

import json
from collections.abc import Iterator

import pytest

from providers import Client, Sampling, Turn
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.deepinfra import DEEPINFRA, KINDS
from tests.vendors.conftest import sdk

OFFER = offer(
    {form: form for form in KINDS},
    upstream="sesame/csm-1b",
    voice_ids={"v": "conversational_b"},
)
TELL = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no model": ("not_offered", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", None),
    **dict.fromkeys(("busy", "busy too"), ("provider_overloaded", "maybe", None)),
    **dict.fromkeys(("broken", "down"), ("provider_overloaded", "maybe", None)),
    "told late": ("rate_limit_exceeded", "nothing", None),
    **dict.fromkeys(("no audio", "a page", "no base64"), ("not_audio", "maybe", None)),
    **dict.fromkeys(("nothing in it", "a number"), ("not_audio", "maybe", None)),
}
"""What a text comes to: the error's kind, what it may cost, how long to wait."""
BILLS = {
    "cheap": (35_000, False),
    "odd": (35_001, False),
    "absurd": (None, True),
    "in words": (None, True),
    "negative": (None, True),
    "not said": (None, False),
}
"""Text -> its cost in nano-USD, and whether it could not be read."""


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(DEEPINFRA) as running:
        yield running


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("deepinfra", fake.url, "Hello")
    audio, _ = await heard(client, provider("deepinfra", fake.url), OFFER, saying("Hello", "wav"))
    assert by_sdk == audio == spoken("wav")
    theirs, ours = fake.heard
    assert theirs.path == ours.path == "/v1/inference/sesame/csm-1b"
    assert json.loads(theirs.body) == json.loads(ours.body)
    assert theirs.headers["authorization"] == ours.headers["authorization"]


@pytest.mark.parametrize("form", KINDS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    whom = provider("deepinfra", fake.url)
    audio, _ = await heard(client, whom, OFFER, saying("Hello", form))
    assert audio == spoken(form)


async def test_its_id_and_its_count_of_characters_are_learned(client: Client, fake: Fake) -> None:
    _, [receipt] = await heard(client, provider("deepinfra", fake.url), OFFER, saying("Hello"))
    assert (receipt.upstream_id, receipt.billed_units) == ("di-1", 5)


@pytest.mark.parametrize("text", BILLS)
async def test_its_cost_is_exact_or_none(client: Client, fake: Fake, text: str) -> None:
    _, [receipt] = await heard(client, provider("deepinfra", fake.url), OFFER, saying(text))
    assert (receipt.billed_nano, receipt.billed_malformed) == BILLS[text]


async def test_the_last_turn_that_can_be_heard_and_the_heat_are_told(
    client: Client, fake: Fake
) -> None:
    before = (Turn("a", "One.", b"RIFF1"), Turn("b", "Two.", b"RIFF2"), Turn("a", "Three."))
    speech = saying("Hello", context=before, sampling=Sampling(temperature=0.5, seed=1))
    await heard(client, provider("deepinfra", fake.url), OFFER, speech)
    told = json.loads(fake.heard[0].body)
    assert told["speaker_audio"] == "data:audio/wav;base64,UklGRjI="
    assert (told["speaker_transcript"], told["temperature"]) == ("Two.", 0.5)
    assert "seed" not in told


async def test_a_webhook_is_never_told(client: Client, fake: Fake) -> None:
    speech = saying("Hello", options={"webhook": "https://stranger", "max_audio_length_ms": 900})
    whom = provider("deepinfra", fake.url, extra={"webhook": "https://stranger"})
    await heard(client, whom, OFFER, speech)
    told = json.loads(fake.heard[0].body)
    assert "webhook" not in told
    assert told["max_audio_length_ms"] == 900


async def test_an_unknown_voice_is_refused(client: Client, fake: Fake) -> None:
    speech = saying("Hello", voice="nobody")
    error = await failure(client, provider("deepinfra", fake.url), OFFER, speech)
    assert (error.kind, error.status) == ("invalid_request", 422)


@pytest.mark.parametrize("text", TELL)
async def test_each_failure_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert TELL.keys() == DEEPINFRA.errors.keys()
    error = await failure(client, provider("deepinfra", fake.url), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == TELL[text]

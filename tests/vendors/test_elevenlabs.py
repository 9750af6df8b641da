"""ElevenLabs: their SDK and our wire hear the same from one fake, and its errors by their class."""

import json
from collections.abc import Iterator

import pytest

from providers import Client, Sampling, Turn
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.elevenlabs import ELEVENLABS
from tests.vendors.conftest import sdk

FORMATS = {"mp3": "mp3_44100_128", "opus": "opus_48000_128", "pcm": "pcm_24000", "wav": "wav_24000"}
OFFER = offer(FORMATS, upstream="eleven_flash_v2_5", voice_ids={"v": "JBFqnCBsd6RMkjVDRZzb"})
KINDS = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no voice": ("not_offered", "nothing", None),
    "too long": ("invalid_request", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "at once": ("rate_limit_exceeded", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 3.0),
    "busy": ("provider_overloaded", "maybe", None),
    "broken": ("provider_overloaded", "maybe", None),
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(ELEVENLABS) as running:
        yield running


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("elevenlabs", fake.url, "Hello")
    whom = provider("elevenlabs", fake.url, auth="xi-api-key")
    audio, _ = await heard(client, whom, OFFER, saying("Hello"))
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert (theirs.method, theirs.path, theirs.query) == (ours.method, ours.path, ours.query)
    assert theirs.headers["xi-api-key"] == ours.headers["xi-api-key"] == "test-key"
    assert json.loads(ours.body).items() <= json.loads(theirs.body).items()


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    whom = provider("elevenlabs", fake.url, auth="xi-api-key")
    audio, _ = await heard(client, whom, OFFER, saying("Hello", form))
    assert audio == spoken(form)


async def test_what_it_bills_and_how_much_runs_is_learned(client: Client, fake: Fake) -> None:
    whom = provider("elevenlabs", fake.url, billed_units_header="character-cost")
    _, [receipt] = await heard(client, whom, OFFER, saying("Hello"))
    assert (receipt.upstream_id, receipt.billed_units) == ("el-1", 5)
    assert ("maximum-concurrent-requests", "5") in receipt.limits


async def test_speed_seed_and_what_was_said_before_are_told(client: Client, fake: Fake) -> None:
    whom = provider("elevenlabs", fake.url)
    before = (Turn("a", "Who is there?"), Turn("b", "It is I."))
    speech = saying("Hello", speed=1.1, sampling=Sampling(seed=-1), context=before)
    await heard(client, whom, OFFER, speech)
    told = json.loads(fake.heard[0].body)
    assert told["voice_settings"] == {"speed": 1.1}
    assert told["seed"] == 2**32 - 1
    assert told["previous_text"] == "Who is there?\nIt is I."


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(ELEVENLABS.errors)
    error = await failure(client, provider("elevenlabs", fake.url), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]

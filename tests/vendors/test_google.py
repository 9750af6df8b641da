"""Google Cloud: their SDK and our wire hear the same from one fake; its errors by their class."""

import json
from collections.abc import Iterator

import pytest

from providers import Client
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.google import ERRORS, GOOGLE, ODD, VOICES
from tests.vendors.conftest import sdk

FORMATS = {"wav": "LINEAR16", "pcm": "PCM", "mp3": "MP3", "opus": "OGG_OPUS"}
CHIRP = offer(FORMATS, voice_ids={"v": "en-US-Chirp3-HD-Charon"}, capabilities=frozenset({"speed"}))
GEMINI = offer(
    FORMATS,
    upstream="gemini-2.5-flash-tts",
    voice_ids={"v": "Kore"},
    languages=("en-US", "de-DE"),
    capabilities=frozenset({"speed", "instructions"}),
)
KINDS = {
    "bad field": ("invalid_request", "nothing", None),
    "bad key": ("credential_refused", "nothing", None),
    "no key": ("credential_refused", "nothing", None),
    "switched off": ("credential_refused", "nothing", None),
    "no money": ("quota_exhausted", "nothing", None),
    "not there": ("not_offered", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", None),
    "too often now": ("rate_limit_exceeded", "nothing", 3.5),
    "too often today": ("rate_limit_exceeded", "nothing", 120.0),
    "too often, twice told": ("rate_limit_exceeded", "nothing", 2.0),
    "too often, soon": ("rate_limit_exceeded", "nothing", None),
    "broken": ("provider_overloaded", "maybe", None),
    "busy": ("provider_overloaded", "maybe", 1.0),
    "late": ("provider_overloaded", "maybe", None),
}
AUTH = "x-goog-api-key"
DOCUMENT = '<speak>One <break time="1s"/> two</speak>'


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(GOOGLE) as running:
        yield running


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("google", fake.url, "Hello")
    speech = saying("Hello", speed=1.25, instructions="Calmly.")
    audio, _ = await heard(client, provider("google", fake.url, auth=AUTH), GEMINI, speech)
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert (theirs.method, theirs.path, theirs.query) == (ours.method, ours.path, ours.query)
    assert theirs.headers[AUTH] == ours.headers[AUTH] == "test-key"
    assert json.loads(theirs.body) == json.loads(ours.body)


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    whom = provider("google", fake.url, auth=AUTH)
    audio, [_] = await heard(client, whom, CHIRP, saying("Hello", form))
    assert audio == spoken(form)


@pytest.mark.parametrize(
    ("voice", "language"), list(zip(VOICES, ("de-DE", "en-US", "cmn-CN", "es-419"), strict=True))
)
async def test_the_language_is_the_voice_s_own_or_else_the_offer_s_first_and_its_model(
    client: Client, fake: Fake, voice: str, language: str
) -> None:
    of = offer(FORMATS, upstream="a-model", voice_ids={"v": voice}, languages=("de-DE",))
    await heard(client, provider("google", fake.url, auth=AUTH), of, saying("Hello"))
    model = {"modelName": "a-model"} if voice == "Kore" else {}
    told = json.loads(fake.heard[0].body)["voice"]
    assert told == {"languageCode": language, "name": voice, **model}


async def test_the_row_adds_to_the_voice_and_to_the_audio(client: Client, fake: Fake) -> None:
    extra = {"voice": {"modelName": "another"}, "audioConfig": {"sampleRateHertz": 24000}}
    of = offer(FORMATS, voice_ids={"v": "Kore"}, extra=extra)
    await heard(client, provider("google", fake.url, auth=AUTH), of, saying("Hello", "mp3"))
    told = json.loads(fake.heard[0].body)
    assert told["voice"] == {"languageCode": "en-US", "name": "Kore", "modelName": "another"}
    assert told["audioConfig"] == {"audioEncoding": "MP3", "sampleRateHertz": 24000}


async def test_what_an_offer_cannot_do_is_left_out(client: Client, fake: Fake) -> None:
    of = offer(FORMATS, voice_ids={"v": "Kore"})
    speech = saying("Hello", speed=1.25, instructions="Calmly.")
    await heard(client, provider("google", fake.url, auth=AUTH), of, speech)
    told = json.loads(fake.heard[0].body)
    assert told["input"] == {"text": "Hello"}
    assert told["audioConfig"] == {"audioEncoding": "PCM"}


async def test_a_caller_s_options_replace_nothing_that_is_metered(
    client: Client, fake: Fake
) -> None:
    more = {"advancedVoiceOptions": {"lowLatencyJourneySynthesis": True}}
    options = {"input": {"text": "a longer text"}, "audioConfig": {}, **more}
    speech = saying("Hello", options=options)
    await heard(client, provider("google", fake.url, auth=AUTH), CHIRP, speech)
    told = json.loads(fake.heard[0].body)
    assert told["input"] == {"text": "Hello"}
    assert more.items() <= told.items()


@pytest.mark.parametrize(
    ("text", "able", "field"),
    [
        (DOCUMENT, {"ssml"}, "ssml"),
        (DOCUMENT, set(), "text"),
        ("<speak>Fish & chips</speak>", {"ssml"}, "text"),
        ("a < b", {"ssml"}, "text"),
    ],
)
async def test_markup_is_text_unless_it_is_a_document_that_the_row_takes(
    client: Client, fake: Fake, text: str, able: set[str], field: str
) -> None:
    of = offer(FORMATS, voice_ids={"v": "Kore"}, capabilities=frozenset(able))
    await heard(client, provider("google", fake.url, auth=AUTH), of, saying(text))
    assert json.loads(fake.heard[0].body)["input"] == {field: text}


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(ERRORS)
    whom = provider("google", fake.url, auth=AUTH)
    error = await failure(client, whom, CHIRP, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]


async def test_the_error_s_code_is_the_word_for_it(client: Client, fake: Fake) -> None:
    error = await failure(client, provider("google", fake.url, auth=AUTH), CHIRP, saying("busy"))
    assert error.code == "UNAVAILABLE"


@pytest.mark.parametrize("text", ODD)
async def test_an_answer_without_audio_is_told(client: Client, fake: Fake, text: str) -> None:
    whom = provider("google", fake.url, auth=AUTH)
    error = await failure(client, whom, CHIRP, saying(text))
    assert (error.kind, error.owed, error.retryable) == ("not_audio", "maybe", True)


async def test_more_than_it_takes_is_refused_by_it(client: Client, fake: Fake) -> None:
    whom = provider("google", fake.url, auth=AUTH)
    error = await failure(client, whom, CHIRP, saying("\u00e9" * 2501))
    assert error.kind == "invalid_request"

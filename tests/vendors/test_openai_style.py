"""Everybody who speaks like OpenAI: their SDKs and our wires hear the same, errors by their class.

The rows are those of openai_style.toml, led to fakes.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from providers import (
    WIRES,
    Client,
    NotAudio,
    Offer,
    Provider,
    Receipt,
    Sampling,
    Speech,
    read_catalog,
    speak,
)
from tests.doubles.vendors import Fake, Vendor, spoken
from tests.doubles.vendors import openai_style as fakes
from tests.doubles.vendors.asking import failure, heard, saying
from tests.vendors.conftest import sdk

FILE = Path(__file__).parent / "openai_style.toml"
VENDORS: dict[str, Vendor] = {
    "openai": fakes.OPENAI,
    "openrouter": fakes.OPENROUTER,
    "groq": fakes.GROQ,
    "together": fakes.TOGETHER,
    "deepinfra": fakes.DEEPINFRA,
    "llm-api": fakes.LLM_API,
    "speaches": fakes.SPEACHES,
    "kokoro": fakes.KOKORO,
    "vllm-omni": fakes.VLLM_OMNI,
}
SDKS = {  # whose SDK speaks to whom, and the format it asks for
    "openai": ("openai", "wav"),
    "openrouter": ("openrouter", "pcm"),
    "groq": ("groq", "wav"),
    "together": ("together", "pcm"),
    "deepinfra": ("openai", "wav"),
}
REFUSED = ("invalid_request", "nothing", None)
BAD_KEY = ("credential_refused", "nothing", None)
NO_CREDIT = ("quota_exhausted", "nothing", None)
MISSING = ("not_offered", "nothing", None)
TROUBLE = ("provider_overloaded", "maybe", None)
NO_AUDIO = ("not_audio", "maybe", None)


def too_often(wait: float | None) -> tuple[str, str, float | None]:
    return ("rate_limit_exceeded", "nothing", wait)


def busy(wait: float) -> tuple[str, str, float | None]:
    return ("provider_overloaded", "maybe", wait)


KINDS: dict[str, dict[str, tuple[str, str, float | None]]] = {
    "openai": {
        "bad field": REFUSED,
        "bad key": BAD_KEY,
        "forbidden": BAD_KEY,
        "no model": MISSING,
        "unprocessable": REFUSED,
        "too often": too_often(1.5),
        "no credit": NO_CREDIT,
        "broken": TROUBLE,
        "overloaded": busy(3),
    },
    "openrouter": {
        "bad field": REFUSED,
        "bad key": BAD_KEY,
        "no credit": NO_CREDIT,
        "forbidden": BAD_KEY,
        "flagged": REFUSED,
        "guarded": REFUSED,
        "no model": MISSING,
        "too long": REFUSED,
        "too often": too_often(3),
        "broken": TROUBLE,
        "broken behind": TROUBLE,
        "nobody": busy(5),
        "late": TROUBLE,
        "overloaded": TROUBLE,
    },
    "groq": {
        "bad field": REFUSED,
        "terms": MISSING,
        "bad key": BAD_KEY,
        "no model": MISSING,
        "too large": REFUSED,
        "unprocessable": REFUSED,
        "too often": too_often(12),
        "full": TROUBLE,
        "broken": TROUBLE,
        "overloaded": TROUBLE,
    },
    "together": {
        "bad field": REFUSED,
        "bad key": BAD_KEY,
        "no credit": NO_CREDIT,
        "forbidden": BAD_KEY,
        "no model": MISSING,
        "unprocessable": REFUSED,
        "too often": too_often(2),
        "broken": TROUBLE,
        "overloaded": TROUBLE,
        "very overloaded": TROUBLE,
        "refused in an event": TROUBLE,
        "broken in the middle": ("broken_off", "maybe", None),
        "no end": ("broken_off", "maybe", None),
        "no event": NO_AUDIO,
        "not base64": NO_AUDIO,
        "a data URL that is not audio": NO_AUDIO,
    },
    "deepinfra": {
        "bad key": BAD_KEY,
        "no credit": NO_CREDIT,
        "no model": MISSING,
        "bad field": REFUSED,
        "too often": too_often(None),
        "broken": TROUBLE,
        "overloaded": TROUBLE,
    },
    "llm-api": {"bad key": BAD_KEY, "no credit": NO_CREDIT, "too often": too_often(4)},
    "speaches": {"no model": MISSING, "bad field": REFUSED, "broken": TROUBLE},
    "kokoro": {"bad voice": REFUSED, "bad field": REFUSED, "broken": TROUBLE},
    "vllm-omni": {"bad voice": REFUSED, "no model": MISSING, "broken": TROUBLE},
}


@dataclass(frozen=True)
class Row:
    """A row whose address leads to a fake."""

    provider: Provider
    offer: Offer
    fake: Fake

    @property
    def body(self) -> dict[str, object]:
        """What the fake heard last."""
        told: dict[str, object] = json.loads(self.fake.heard[-1].body)
        return told


def rows(environ: Mapping[str, str]) -> Mapping[str, tuple[Provider, Offer]]:
    catalog = read_catalog([FILE], {"TEST_KEY": "test-key", **environ}, frozenset(WIRES))
    offers = {offer.provider: offer for offer in catalog.models["test/m"]}
    return {name: (row, offers[name]) for name, row in catalog.providers.items()}


ROWS = rows({})


def led(name: str, fake: Fake) -> Row:
    path = httpx.URL(ROWS[name][0].address).path
    variable = f"GATEWAY_PROVIDER_{name.replace('-', '_').upper()}_ADDRESS"
    return Row(*rows({variable: fake.url + path})[name], fake)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    with Fake(VENDORS[request.param]) as fake:
        yield led(request.param, fake)


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> Iterator[Row]:
    with Fake(VENDORS[request.param], pause=0.05) as fake:
        yield led(request.param, fake)


def pairs(table: Mapping[str, Mapping[str, object]]) -> list[tuple[str, str]]:
    return [(name, each) for name, rows in table.items() for each in rows]


def asked(text: str, form: str, **more: object) -> Speech:
    return saying(text, form, voice="alloy", **more)


STREAMING = [name for name in VENDORS if name != "groq"]
FORMATS = {name: offer.formats for name, (_, offer) in ROWS.items()}


def test_every_row_has_its_fake_and_every_error_its_class() -> None:
    assert ROWS.keys() == VENDORS.keys() == KINDS.keys()
    assert {name: set(vendor.errors) for name, vendor in VENDORS.items()} == {
        name: set(told) for name, told in KINDS.items()
    }


@pytest.mark.parametrize("row", SDKS, indirect=True)
async def test_the_sdk_and_the_wire_hear_the_same(client: Client, row: Row) -> None:
    program, form = SDKS[row.provider.name]
    by_sdk = sdk(program, row.provider.address, "Hello")
    audio, _ = await heard(client, row.provider, row.offer, asked("Hello", form))
    assert by_sdk == audio == spoken(form)
    [theirs, ours] = row.fake.heard
    assert (theirs.method, theirs.path, theirs.query) == (ours.method, ours.path, ours.query)
    assert theirs.headers["authorization"] == ours.headers["authorization"] == "Bearer test-key"
    assert json.loads(theirs.body) == json.loads(ours.body)


@pytest.mark.parametrize(("row", "form"), pairs(FORMATS), indirect=["row"])
async def test_every_format_of_a_row_comes_as_it_is(client: Client, row: Row, form: str) -> None:
    audio, _ = await heard(client, row.provider, row.offer, asked("Hello", form))
    assert audio == spoken(form)
    assert row.body["response_format"] == row.offer.formats[form]


@pytest.mark.parametrize(("row", "text"), pairs(KINDS), indirect=["row"])
async def test_each_error_is_told_by_its_class(client: Client, row: Row, text: str) -> None:
    form = "pcm" if "pcm" in row.offer.formats else "wav"
    error = await failure(client, row.provider, row.offer, asked(text, form))
    assert (error.kind, error.owed, error.wait) == KINDS[row.provider.name][text]


@pytest.mark.parametrize("slow", STREAMING, indirect=True)
async def test_audio_is_passed_on_while_it_is_made(client: Client, slow: Row) -> None:
    pieces = speak(client, slow.provider, slow.offer, asked("Hello", "pcm"))
    assert isinstance(await anext(pieces), Receipt)
    assert await anext(pieces)
    assert slow.fake.sent < 3
    await pieces.aclose()
    assert await asyncio.to_thread(slow.fake.left.wait, 5)


@pytest.mark.parametrize(
    ("row", "upstream_id", "limit"),
    [
        ("openai", "req_1", ("x-ratelimit-remaining-requests", "499")),
        ("openrouter", "gen-tts-1-a", None),
        ("groq", "req_g", ("x-ratelimit-limit-requests", "100")),
    ],
    indirect=["row"],
)
async def test_ids_and_limits_are_learned(
    client: Client, row: Row, upstream_id: str, limit: tuple[str, str] | None
) -> None:
    form = next(iter(row.offer.formats))
    _, [receipt] = await heard(client, row.provider, row.offer, asked("Hello", form))
    assert receipt.upstream_id == upstream_id
    assert receipt.limits == ((limit,) if limit else ())


@pytest.mark.parametrize("row", ["openrouter"], indirect=True)
async def test_the_rate_of_bare_samples_is_learned(client: Client, row: Row) -> None:
    _, [receipt] = await heard(client, row.provider, row.offer, asked("Hello", "pcm"))
    assert receipt.sample_rate == 24_000


@pytest.mark.parametrize("row", ["openai", "vllm-omni"], indirect=True)
async def test_speed_instructions_and_sampling_are_told(client: Client, row: Row) -> None:
    speech = asked("Hi", "wav", speed=1.5, instructions="Softly.", sampling=Sampling(seed=7))
    await heard(client, row.provider, row.offer, speech)
    told = {"speed": 1.5, "instructions": "Softly.", "seed": 7}
    assert told.items() <= row.body.items()


@pytest.mark.parametrize("row", ["together"], indirect=True)
async def test_together_is_told_nothing_that_it_does_not_know(client: Client, row: Row) -> None:
    await heard(client, row.provider, row.offer, asked("Hi", "mp3", speed=1.5, options={"a": 1}))
    known = {"model", "input", "voice", "response_format", "stream"}
    assert row.body.keys() == known | {"a"}
    assert row.body["stream"] is False


@pytest.mark.parametrize("row", ["kokoro"], indirect=True)
async def test_a_voice_goes_out_by_the_providers_own_id(client: Client, row: Row) -> None:
    await heard(client, row.provider, row.offer, asked("Hi", "wav"))
    assert row.body["voice"] == "af_bella(2)+af_heart(1)"


@pytest.mark.parametrize("row", ["groq"], indirect=True)
async def test_a_row_knows_how_much_is_taken_at_once(client: Client, row: Row) -> None:
    fits, long = "a" * fakes.ROOM, "a" * (fakes.ROOM + 1)
    assert (await heard(client, row.provider, row.offer, asked(fits, "wav")))[0]
    error = await failure(client, row.provider, row.offer, asked(long, "wav"))
    assert (error.kind, row.offer.too_long(fits)) == ("invalid_request", None)
    assert row.offer.too_long(long) == "takes at most 200 characters"


@pytest.mark.parametrize("row", ["vllm-omni"], indirect=True)
async def test_events_that_a_row_did_not_ask_for_are_no_audio(client: Client, row: Row) -> None:
    whom = replace(row.provider, extra={"stream": True})
    with pytest.raises(NotAudio):
        await heard(client, whom, row.offer, asked("Hi", "pcm"))


@pytest.mark.parametrize("row", ["speaches"], indirect=True)
async def test_markup_in_a_text_goes_out_as_text(client: Client, row: Row) -> None:
    text = '<speak>"a" & <break time="9s"/>\u2028</speak>'
    await heard(client, row.provider, row.offer, asked(text, "wav"))
    assert row.body["input"] == text

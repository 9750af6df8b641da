"""Polly: Amazon's SDK and our wire hear the same from one fake, which checks how both sign."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from providers import Client, CredentialRefused, Offer, Provider, Receipt, speak
from providers.wires.polly import region
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.polly import KEY_ID, POLLY, REGION, SECRET, TOKEN
from tests.vendors.conftest import sdk

FORMATS = {"mp3": "mp3:24000", "opus": "ogg_opus:48000", "pcm": "pcm:16000"}
KEY = f"{KEY_ID}:{SECRET}:{TOKEN}"
KINDS = {
    "too long": ("invalid_request", "nothing"),
    "bad rate": ("invalid_request", "nothing"),
    "bad ssml": ("invalid_request", "nothing"),
    "no language": ("invalid_request", "nothing"),
    "bad field": ("invalid_request", "nothing"),
    "no engine": ("not_offered", "nothing"),
    "no lexicon": ("not_offered", "nothing"),
    "too often": ("rate_limit_exceeded", "nothing"),
    "too much": ("quota_exhausted", "nothing"),
    "bad key": ("credential_refused", "nothing"),
    "bad signature": ("credential_refused", "nothing"),
    "old key": ("credential_refused", "nothing"),
    "forbidden": ("credential_refused", "nothing"),
    "broken": ("provider_overloaded", "maybe"),
    "busy": ("provider_overloaded", "maybe"),
}
DOCUMENT = '<speak>One <break time="1s"/> two <amazon:effect name="whispered">three</amazon:effect>'
DOCUMENT += "</speak>"


def able(*capabilities: str) -> Offer:
    return offer(
        FORMATS,
        upstream="neural",
        voice_ids={"v": "Joanna"},
        sample_rate=16_000,
        capabilities=frozenset(capabilities),
    )


OFFER = able("speed")


def polly(address: str, secret: str = KEY) -> Provider:
    return provider(
        "polly",
        address,
        secret=secret,
        extra={"region": REGION},
        billed_units_header="x-amzn-RequestCharacters",
    )


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(POLLY) as running:
        yield running


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("polly", fake.url, "Hello")
    audio, _ = await heard(client, polly(fake.url), OFFER, saying("Hello"))
    assert by_sdk == audio == spoken("pcm")
    [theirs, ours] = fake.heard
    assert (theirs.method, theirs.path, theirs.query) == (ours.method, ours.path, ours.query)
    assert json.loads(theirs.body) == json.loads(ours.body)
    for name in ("content-type", "x-amz-security-token"):
        assert theirs.headers[name] == ours.headers[name]
    assert scope(theirs.headers) == scope(ours.headers)


def scope(headers: dict[str, str]) -> str:
    """Who signs, and for what, without the hour."""
    return headers["authorization"].partition(", ")[0]


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is_in_its_rate(
    client: Client, fake: Fake, form: str
) -> None:
    audio, _ = await heard(client, polly(fake.url), OFFER, saying("Hello", form))
    told = json.loads(fake.heard[0].body)
    assert audio == spoken(form)
    assert FORMATS[form] == f"{told['OutputFormat']}:{told['SampleRate']}"


async def test_a_format_without_a_rate_leaves_it_to_polly(client: Client, fake: Fake) -> None:
    await heard(client, polly(fake.url), offer({"mp3": "mp3"}), saying("Hello", "mp3"))
    assert "SampleRate" not in json.loads(fake.heard[0].body)


async def test_what_it_bills_is_learned(client: Client, fake: Fake) -> None:
    _, [receipt] = await heard(client, polly(fake.url), OFFER, saying("Hello", speed=1.1))
    assert (receipt.upstream_id, receipt.billed_units) == ("po-1", 5)


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(POLLY.errors)
    error = await failure(client, polly(fake.url), OFFER, saying(text))
    assert (error.kind, error.owed) == KINDS[text]
    assert error.code == POLLY.errors[text].headers["x-amzn-errortype"].partition(":")[0]


async def test_more_than_it_takes_is_refused_by_it(client: Client, fake: Fake) -> None:
    error = await failure(client, polly(fake.url), OFFER, saying("a" * 3001))
    assert (error.kind, error.code) == ("invalid_request", "TextLengthExceededException")


@pytest.mark.parametrize("speed", [0.5, 1.25])
async def test_speed_is_a_rate_in_ssml(client: Client, fake: Fake, speed: float) -> None:
    await heard(client, polly(fake.url), OFFER, saying("a < b & c", speed=speed))
    told = json.loads(fake.heard[0].body)
    rate = f'<prosody rate="{speed:.0%}">'
    assert told["Text"] == f"<speak>{rate}a &lt; b &amp; c</prosody></speak>"
    assert told["TextType"] == "ssml"


@pytest.mark.parametrize(("of", "speed"), [(able(), 1.25), (OFFER, 1.0), (OFFER, None)])
async def test_a_speed_that_it_has_not_is_left_out(
    client: Client, fake: Fake, of: Offer, speed: float | None
) -> None:
    await heard(client, polly(fake.url), of, saying("a < b", speed=speed))
    told = json.loads(fake.heard[0].body)
    assert (told["Text"], told["TextType"]) == ("a < b", "text")


@pytest.mark.parametrize(
    ("of", "text", "kind"),
    [
        (able("ssml"), DOCUMENT, "ssml"),
        (able(), DOCUMENT, "text"),
        (able("ssml"), "<speak>Fish & chips</speak>", "text"),
        (able("ssml"), "<!DOCTYPE speak><speak>Hello</speak>", "text"),
    ],
)
async def test_markup_is_text_unless_it_is_a_document_that_the_row_takes(
    client: Client, fake: Fake, of: Offer, text: str, kind: str
) -> None:
    await heard(client, polly(fake.url), of, saying(text, speed=2.0))
    told = json.loads(fake.heard[0].body)
    assert (told["Text"], told["TextType"]) == (text, kind)


@pytest.mark.parametrize("secret", [f"{KEY_ID}:wrong:{TOKEN}", f"{KEY_ID}:{SECRET}", "A:b"])
async def test_a_signature_with_another_key_is_refused_by_it(
    client: Client, fake: Fake, secret: str
) -> None:
    error = await failure(client, polly(fake.url, secret), OFFER, saying("Hello"))
    assert (error.kind, error.status) == ("credential_refused", 403)


@pytest.mark.parametrize("secret", ["only-a-secret", "ID:", ":"])
async def test_half_a_key_goes_nowhere(client: Client, fake: Fake, secret: str) -> None:
    with pytest.raises(CredentialRefused, match="ACCESS_KEY_ID:SECRET_ACCESS_KEY"):
        await heard(client, polly(fake.url, secret), OFFER, saying("Hello"))
    assert fake.heard == []


async def test_the_secret_itself_is_never_sent(client: Client, fake: Fake) -> None:
    speech = saying("Hello", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    await heard(client, replace(polly(fake.url), auth="x-api-key"), OFFER, speech)
    assert SECRET not in repr(fake.heard[0])
    assert fake.heard[0].headers["traceparent"] == speech.traceparent


@pytest.mark.parametrize(
    ("address", "extra", "where"),
    [
        ("https://polly.ap-south-1.amazonaws.com", {}, "ap-south-1"),
        ("https://polly-fips.us-gov-west-1.amazonaws.com", {}, "us-gov-west-1"),
        ("https://polly.cn-north-1.amazonaws.com.cn", {}, "cn-north-1"),
        ("https://vpce-0a.polly.eu-west-3.vpce.amazonaws.com", {}, "eu-west-3"),
        ("https://polly.eu-west-1.amazonaws.com", {"region": "eu-west-2"}, "eu-west-2"),
        ("http://127.0.0.1:4566", {}, "us-east-1"),
    ],
)
def test_it_is_signed_for_the_region_of_the_row_or_else_of_the_address(
    address: str, extra: dict[str, str], where: str
) -> None:
    assert region(provider("polly", address, extra=extra)) == where


async def test_it_is_signed_for_the_service_that_the_row_names(client: Client, fake: Fake) -> None:
    whom = provider("polly", fake.url, secret=KEY, extra={"region": REGION, "service": "other"})
    error = await failure(client, whom, OFFER, saying("Hello"))
    assert error.kind == "credential_refused"
    assert f"/{REGION}/other/aws4_request, " in fake.heard[0].headers["authorization"]


def test_who_does_not_speak_to_polly_does_not_load_the_signer() -> None:
    program = "import providers, sys; sys.exit('botocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_the_first_audio_is_passed_on_before_the_third_chunk_is_sent(client: Client) -> None:
    with Fake(POLLY, pause=0.05) as fake:
        pieces = speak(client, polly(fake.url), OFFER, saying("Hello"))
        assert isinstance(await anext(pieces), Receipt)
        assert spoken("pcm").startswith(await anext(pieces))  # type: ignore[arg-type]  # bytes
        assert fake.sent < 3
        await pieces.aclose()
        assert await asyncio.to_thread(fake.left.wait, 5)

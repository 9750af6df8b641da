"""Azure Speech, which has no SDK for this: the fake reads our SSML as any XML parser does."""

import asyncio
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers import Client, Receipt, speak
from providers.wires.azure import ssml
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.azure import AZURE, LANG, MSTTS, SSML, document

FORMATS = {
    "mp3": "audio-24khz-48kbitrate-mono-mp3",
    "opus": "ogg-24khz-16bit-mono-opus",
    "pcm": "raw-24khz-16bit-mono-pcm",
    "wav": "riff-24khz-16bit-mono-pcm",
}
OFFER = offer(
    FORMATS,
    voice_ids={"v": "en-US-JennyNeural"},
    capabilities=frozenset({"speed"}),
    extra={"styles": ["cheerful", "newscast-casual"]},
)
KINDS = {
    "bad request": ("invalid_request", "nothing", None),
    "no format": ("invalid_request", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", None),
    "too often now": ("rate_limit_exceeded", "nothing", 5.0),
    "bad gateway": ("provider_overloaded", "maybe", None),
    "busy": ("provider_overloaded", "maybe", None),
}
AUTH = "Ocp-Apim-Subscription-Key"


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(AZURE) as running:
        yield running


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_comes_as_it_is(client: Client, fake: Fake, form: str) -> None:
    whom = provider("azure", fake.url, auth=AUTH)
    audio, [receipt] = await heard(client, whom, OFFER, saying("Hello", form))
    assert audio == spoken(form)
    assert receipt.upstream_id == "az-1"
    assert fake.heard[0].headers["x-microsoft-outputformat"] == FORMATS[form]


@pytest.mark.parametrize("auth", [AUTH, "Authorization: Bearer"])
async def test_a_key_and_a_token_are_both_taken(client: Client, fake: Fake, auth: str) -> None:
    audio, _ = await heard(client, provider("azure", fake.url, auth=auth), OFFER, saying("Hello"))
    assert audio == spoken("pcm")
    name, _, scheme = auth.partition(": ")
    assert fake.heard[0].headers[name.lower()] == f"{scheme} test-key".strip()
    assert 0 < len(fake.heard[0].headers["user-agent"]) < 255


async def test_a_wrong_key_is_told(client: Client, fake: Fake) -> None:
    whom = provider("azure", fake.url, auth=AUTH, secret="another")
    error = await failure(client, whom, OFFER, saying("Hello"))
    assert (error.kind, error.status) == ("credential_refused", 401)


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(AZURE.errors)
    error = await failure(client, provider("azure", fake.url), OFFER, saying(text))
    assert (error.kind, error.owed, error.wait) == KINDS[text]


@given(st.text(st.characters(), max_size=300))
@example("a < b && c > d ]]> <!-- --> <?php ?> &amp; &#0; \"quoted\" 'so'")
@example('</voice></speak><speak><voice name="x">')
@example("\r\n\r\t\n \x85\u2028")
@example("\0\x0b\ufffe\uffff\ud800\udfff\U0010ffff")
def test_any_text_is_read_back_as_it_was_less_what_xml_cannot_say(text: str) -> None:
    speech = saying(text, speed=1.5, instructions="cheerful")
    _, voice = document(ssml(OFFER, speech).encode())
    assert "".join(voice.itertext()) == "".join(filter(xml_can_say, text))
    assert [each.tag for each in voice.iter()] == [
        f"{SSML}voice",
        f"{MSTTS}express-as",
        f"{SSML}prosody",
    ]


def xml_can_say(letter: str) -> bool:
    """As XML 1.0 has it in its production [2] Char."""
    number = ord(letter)
    return (
        number in {0x9, 0xA, 0xD}
        or 0x20 <= number <= 0xD7FF
        or 0xE000 <= number <= 0xFFFD
        or number >= 0x10000
    )


@pytest.mark.parametrize(("speed", "rate"), [(1.25, "+25%"), (0.5, "-50%"), (4.0, "+300%")])
def test_speed_is_a_rate_against_the_voice_s_own(speed: float, rate: str) -> None:
    _, voice = document(ssml(OFFER, saying("Hello", speed=speed)).encode())
    assert voice.find(f"{SSML}prosody").attrib == {"rate": rate}  # type: ignore[union-attr]


@pytest.mark.parametrize(("speed", "able"), [(None, {"speed"}), (1.0, {"speed"}), (1.5, set())])
def test_no_speed_stands_there_where_none_is_asked_for_or_had(
    speed: float | None, able: set[str]
) -> None:
    plain = offer(FORMATS, capabilities=frozenset(able))
    assert "prosody" not in ssml(plain, saying("Hello", speed=speed))


@pytest.mark.parametrize(
    ("instructions", "style"),
    [("Cheerful ", "cheerful"), ("newscast-casual", "newscast-casual")],
)
def test_instructions_that_name_a_listed_style_become_it(instructions: str, style: str) -> None:
    _, voice = document(ssml(OFFER, saying("Hello", instructions=instructions)).encode())
    assert [each.get("style") for each in voice] == [style]


@pytest.mark.parametrize("instructions", ["angry", 'cheerful"/><x', "Be cheerful.", "", None])
def test_other_instructions_are_left_out(instructions: str | None) -> None:
    said = ssml(OFFER, saying("Hello", instructions=instructions))
    assert said == ssml(OFFER, saying("Hello"))
    assert "express-as" not in ssml(offer(FORMATS), saying("Hello", instructions="cheerful"))


@pytest.mark.parametrize(
    ("voice", "locale"),
    [
        ("en-US-AvaMultilingualNeural", "en-US"),
        ("en-US-Ava:DragonHDLatestNeural", "en-US"),
        ("zh-CN-shaanxi-XiaoniNeural", "zh-CN-shaanxi"),
        ("sr-Latn-RS-NicholasNeural", "sr-Latn-RS"),
        ("OurOwnVoice", "de-DE"),
    ],
)
def test_the_document_is_in_the_voice_s_own_locale(voice: str, locale: str) -> None:
    of = offer(FORMATS, voice_ids={"v": voice}, languages=("de-DE",))
    root, named = document(ssml(of, saying("Hello")).encode())
    assert (root.get(LANG), named.get("name")) == (locale, voice)


OWN = f'<speak version="1.0" xmlns="{SSML[1:-1]}" xml:lang="en-US"><voice name="en-US-GuyNeural">'
OWN += 'One <break time="1s"/> two &amp; three</voice></speak>'


async def test_a_client_s_own_document_goes_as_it_is_where_the_row_takes_it(
    client: Client, fake: Fake
) -> None:
    takes = offer(FORMATS, capabilities=frozenset({"ssml", "speed"}))
    whom = provider("azure", fake.url)
    await heard(client, whom, takes, saying(OWN, speed=2.0, instructions="cheerful"))
    assert fake.heard[0].body.decode() == OWN


async def test_a_client_s_own_document_is_read_out_where_the_row_does_not(
    client: Client, fake: Fake
) -> None:
    await heard(client, provider("azure", fake.url), OFFER, saying(OWN))
    _, voice = document(fake.heard[0].body)
    assert "".join(voice.itertext()) == OWN
    assert voice.get("name") == "en-US-JennyNeural"


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 9}">' for n in range(1, 9))
SUSPECT = {
    "not well-formed": "<speak>Fish & chips</speak>",
    "not closed": "<speak><voice>Hello</speak>",
    "two roots": "<speak>One</speak><speak>Two</speak>",
    "a DTD": '<!DOCTYPE speak SYSTEM "http://127.0.0.1/x.dtd"><speak>Hello</speak>',
    "entities": f'<!DOCTYPE speak [<!ENTITY l0 "ha">{LAUGHS}]><speak>&l8;</speak>',
    "a file": '<!DOCTYPE speak [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>',
    "a DTD behind the root": '<speak>Hello</speak><!DOCTYPE speak [<!ENTITY x "y">]>',
    "an entity of nobody's": "<speak>&nbsp;</speak>",
    "another encoding": '<?xml version="1.0" encoding="UTF-16"?><speak>Hello</speak>',
    "another root": "<speaker>Hello</speaker>",
    "a control character": "<speak>Hello\x0b</speak>",
    "half a letter": "<speak>Hello\ud800</speak>",
    "no markup": "speak",
}


@pytest.mark.parametrize("text", SUSPECT.values(), ids=SUSPECT.keys())
def test_what_is_no_plain_document_is_read_out_even_where_the_row_takes_ssml(text: str) -> None:
    takes = offer(FORMATS, capabilities=frozenset({"ssml"}))
    _, voice = document(ssml(takes, saying(text)).encode())
    assert "".join(voice.itertext()) == re.sub("[\x0b\ud800]", "", text)


def test_a_document_as_deep_as_a_text_can_be_is_judged_all_the_same() -> None:
    takes, deep = offer(FORMATS, capabilities=frozenset({"ssml"})), 20_000
    text = f"<speak>{'<p>' * deep}Hello{'</p>' * deep}</speak>"
    assert ssml(takes, saying(text)) == text
    assert ssml(takes, saying(text[:-1])) != text[:-1]


async def test_the_first_audio_is_passed_on_before_the_third_chunk_is_sent(client: Client) -> None:
    with Fake(AZURE, pause=0.05) as fake:
        pieces = speak(client, provider("azure", fake.url), OFFER, saying("Hello"))
        assert isinstance(await anext(pieces), Receipt)
        assert spoken("pcm").startswith(await anext(pieces))  # type: ignore[arg-type]  # bytes
        assert fake.sent < 3
        await pieces.aclose()
        assert await asyncio.to_thread(fake.left.wait, 5)


def test_the_fake_knows_what_is_no_document() -> None:
    for wrong in ["Hello", "<speak>Hello</speak>", f'<speak xmlns="{SSML[1:-1]}"/>']:
        with pytest.raises((ET.ParseError, ValueError)):
            document(wrong.encode())

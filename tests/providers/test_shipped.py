"""What is shipped: every row loads, is priced or says that nobody knows, and has voices."""

import re
from datetime import date
from pathlib import Path

import pytest

from providers import Offer
from providers.rows import read_rows
from tests.providers.shipped import CATALOG, FILE, OFFERS, OPENAI_VOICES, shipped

GATEWAY = Path(__file__).parent.parent.parent / "gateway"
ROWS = {row.values.name: row.values for row in read_rows(FILE)[1]}
CSM = {
    *("local-csm", "openrouter", "deepinfra", "deepinfra-native", "replicate", "fal", "llmapi"),
    "huggingface-deepinfra",
}
PROVIDERS = CSM | {
    *("openai", "elevenlabs", "cartesia", "deepgram", "azure", "google", "polly", "hume", "groq"),
    *("together", "huggingface", "speaches", "kokoro", "vllm-omni", "local"),
}
# OpenAI and OpenRouter are dialects that the gateway's own clients speak, the engine is our own,
# and the others are words.
WORDS = {"openai", "openrouter", "local", "local-csm", "together"}
each_offer = pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)


def test_everybody_is_there_and_off_until_there_is_a_key_or_an_address() -> None:
    rows = CATALOG.providers
    assert rows.keys() == PROVIDERS
    assert [name for name, row in rows.items() if not row.off] == ["local"]
    told = {row.off for row in rows.values() if row.off}
    assert all(each.endswith(" is not set") or each == "it has no address" for each in told)


def test_sesames_model_is_told_wherever_it_is_to_be_had() -> None:
    assert {offer.provider for offer in CATALOG.models["sesame/csm-1b"]} == CSM


@pytest.mark.parametrize("name", sorted(PROVIDERS - {"local"}))
def test_each_row_is_on_with_its_key_or_its_address_alone(name: str) -> None:
    row = ROWS[name]
    variables = [row.key] if isinstance(row.key, str) else row.key
    environ = {part: "secret" for each in variables[:1] for part in each.split("+")}
    if not row.address:
        environ[f"GATEWAY_PROVIDER_{name.replace('-', '_').upper()}_ADDRESS"] = "http://h/v1"
    found = shipped(**environ).providers[name]
    assert found.off is None
    assert found.address.startswith("http")
    assert "{" not in found.address


@pytest.mark.parametrize(
    ("variable", "provider", "host"),
    [
        ("AZURE_SPEECH_REGION", "azure", "westeurope.tts.speech.microsoft.com"),
        ("AWS_REGION", "polly", "polly.westeurope.amazonaws.com"),
    ],
)
def test_a_region_is_a_variable(variable: str, provider: str, host: str) -> None:
    found = shipped(**{variable: "westeurope"}).providers[provider]
    assert found.address == f"https://{host}"


@each_offer
def test_each_offer_is_priced_with_source_and_date_or_says_that_nobody_knows(offer: Offer) -> None:
    price = offer.price
    if price.per in {"free", "unknown"}:
        assert price.source is None
    else:
        assert price.source
        assert date(2026, 1, 1) <= date.fromisoformat(price.as_of or "") <= date(2026, 11, 22)
        assert price.rate or (price.input_rate and price.output_rate)


def test_nobody_is_free_but_what_runs_here() -> None:
    free = {offer.provider for offer in OFFERS if offer.price.per == "free"}
    assert free == {"local", "local-csm", "speaches", "kokoro", "vllm-omni"}


@each_offer
def test_each_offer_has_a_voice_for_each_of_openais_names(offer: Offer) -> None:
    assert offer.default_voice in offer.voices
    mapped = {name: CATALOG.kin(offer, name) for name in OPENAI_VOICES}
    assert [name for name, kin in mapped.items() if kin is None] == []
    # Who has several voices does not lend one of them to everybody.
    assert len(set(mapped.values())) >= min(2, len(offer.voices))


@each_offer
def test_men_and_women_are_not_taken_for_one_another(offer: Offer) -> None:
    women = {CATALOG.kin(offer, name) for name in ("coral", "nova", "sage", "shimmer", "marin")}
    men = {CATALOG.kin(offer, name) for name in ("ash", "ballad", "echo", "onyx", "verse", "cedar")}
    assert not women & men or len(offer.voices) == 1


@each_offer
def test_each_offer_says_how_good_it_is_and_who_found_so(offer: Offer) -> None:
    assert offer.quality is not None
    assert offer.quality_source
    assert all(theirs for theirs in offer.formats.values())
    alike = {each.quality for each in CATALOG.models[offer.model]}
    assert alike == {offer.quality}, "one model sounds the same wherever it is"


@each_offer
def test_ids_of_voices_are_no_ones_twice(offer: Offer) -> None:
    ids = [offer.voice_id(voice) for voice in offer.voices]
    assert len(ids) == len(set(ids))


def test_no_provider_is_named_in_the_gateways_code() -> None:
    names = PROVIDERS - WORDS | {"llm.api", "fal.ai", "aws"}
    word = re.compile(rf"\b({'|'.join(map(re.escape, sorted(names)))})\b", re.IGNORECASE)
    named = {
        f"{file.relative_to(GATEWAY)}:{number}: {line.strip()}"
        for file in GATEWAY.rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if word.search(line)
    }
    assert named == set()

"""Hugging Face: their SDK and our wire hear the same from one fake, and its errors by their class.

Its routes to other providers are rows of those providers' wires.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from providers import Client, NotAudio, Sampling
from tests.doubles.vendors import Fake, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying
from tests.doubles.vendors.huggingface import HUGGINGFACE
from tests.doubles.vendors.openai_style import HF_TOGETHER
from tests.vendors.conftest import sdk

OFFER = offer({"flac": "flac"}, upstream="org/flac")
KINDS = {
    "bad field": ("invalid_request", "nothing", None),
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "forbidden": ("credential_refused", "nothing", None),
    "no model": ("not_offered", "nothing", None),
    "unprocessable": ("invalid_request", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 6.0),
    "broken": ("provider_overloaded", "maybe", None),
    "loading": ("provider_overloaded", "maybe", None),
    "not audio": ("not_audio", "maybe", None),
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(HUGGINGFACE) as running:
        yield running


def at(fake: Fake) -> str:
    return f"{fake.url}/hf-inference"


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("huggingface", at(fake), "Hello")
    speech = saying("Hello", "flac", sampling=Sampling(temperature=0.5, max_tokens=90))
    audio, [receipt] = await heard(client, provider("huggingface", at(fake)), OFFER, speech)
    assert by_sdk == audio == spoken("flac")
    assert receipt.upstream_id == "hf-1"
    [theirs, ours] = fake.heard
    assert (theirs.path, theirs.query) == (ours.path, ours.query)
    assert theirs.headers["authorization"] == ours.headers["authorization"] == "Bearer test-key"
    assert json.loads(theirs.body) == json.loads(ours.body)


async def test_the_model_decides_the_format(client: Client, fake: Fake) -> None:
    wav = offer({"wav": "wav", "flac": "flac"}, upstream="org/wav")
    audio, _ = await heard(client, provider("huggingface", at(fake)), wav, saying("Hi", "wav"))
    assert audio == spoken("wav")
    with pytest.raises(NotAudio):
        await heard(client, provider("huggingface", at(fake)), wav, saying("Hi", "flac"))


async def test_a_rows_parameters_and_the_callers_travel_together(
    client: Client, fake: Fake
) -> None:
    own = replace(OFFER, extra={"parameters": {"do_sample": True}, "options": {"use_cache": False}})
    whom = provider("huggingface", at(fake), sent_headers={"x-hf-bill-to": "org"})
    options = {"do_sample": False, "typical_p": 0.5, "inputs": "dearer"}
    await heard(client, whom, own, saying("Hi", "flac", options=options))
    [told] = fake.heard
    assert told.headers["x-hf-bill-to"] == "org"
    assert json.loads(told.body) == {
        "inputs": "Hi",
        "options": {"use_cache": False},
        "parameters": options | {"do_sample": True},
    }


async def test_a_route_to_another_provider_is_a_row_of_its_wire(client: Client) -> None:
    with Fake(HF_TOGETHER) as fake:
        whom = provider("together", f"{fake.url}/together/v1", secret="hf_1")
        audio, _ = await heard(client, whom, offer({"pcm": "raw"}), saying("Hi"))
    assert audio == spoken("pcm")
    assert fake.heard[0].headers["authorization"] == "Bearer hf_1"


@pytest.mark.parametrize("text", KINDS)
async def test_each_error_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(KINDS) == set(HUGGINGFACE.errors)
    error = await failure(client, provider("huggingface", at(fake)), OFFER, saying(text, "flac"))
    assert (error.kind, error.owed, error.wait) == KINDS[text]

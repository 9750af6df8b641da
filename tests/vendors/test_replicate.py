"""Replicate: their SDK and our wire hear the same, and work that nobody waits for is cancelled."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from providers import Client, Price, Provider, Receipt, Sampling, open_client, speak
from tests.doubles.vendors import Fake, Heard, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying, until
from tests.doubles.vendors.replicate import (
    DEAF,
    ENDINGS,
    ERRORS,
    LIES,
    NEVER,
    OUTPUTS,
    REPLICATE,
    SLOW,
    UNWILLING,
)
from tests.vendors.conftest import sdk

VERSION = "3e" * 32
OFFER = offer(
    {"wav": "wav"},
    upstream=f"lucataco/csm-1b:{VERSION}",
    voices=frozenset({"v", "conversational_b"}),
    voice_ids={"v": "0", "conversational_b": "1"},
    extra={"text": "{text}", "speaker": "{speaker}"},
    price=Price(per="second", rate=975_000_000),
)
TELL = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no model": ("not_offered", "nothing", None),
    "bad field": ("invalid_request", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 30.0),
    "too often for": ("rate_limit_exceeded", "nothing", 7.0),
    "broken": ("provider_overloaded", "maybe", None),
    "poll lost": ("provider_overloaded", "maybe", None),
    "poll too often": ("provider_overloaded", "maybe", 30.0),
    "file gone": ("provider_overloaded", "maybe", None),
    "file is a page": ("not_audio", "maybe", None),
    **dict.fromkeys(ENDINGS, ("provider_overloaded", "maybe", None)),
    NEVER: ("timeout", "maybe", None),
    "file too short": ("broken_off", "maybe", None),
    "file huge": ("not_audio", "maybe", None),
    **dict.fromkeys(
        sorted(OUTPUTS.keys() - {"at once", "in a list"}), ("not_audio", "maybe", None)
    ),
}
"""What a text comes to: the error's kind, what it may cost, how long to wait."""


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(REPLICATE) as running:
        yield running


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Client]:
    """Closed before the fake is, which so hears its last words."""
    async with open_client(read_seconds=2.0) as opened:
        yield opened


def at(fake: Fake) -> Provider:
    return provider("replicate", fake.url, hosts=frozenset({"replicate.delivery"}))


async def test_the_sdk_and_the_wire_hear_the_same(client: Client, fake: Fake) -> None:
    by_sdk = sdk("replicate", fake.url, "Hello")
    speech = saying("Hello", "wav", voice="conversational_b")
    audio, _ = await heard(client, at(fake), OFFER, speech)
    assert by_sdk == audio == spoken("wav")
    theirs, ours = (each for each in fake.heard if each.method == "POST")
    assert theirs.path == ours.path == "/v1/predictions"
    assert json.loads(theirs.body) == json.loads(ours.body)
    assert theirs.headers["authorization"] == ours.headers["authorization"]
    assert theirs.headers["prefer"] == "wait"
    assert ours.headers["prefer"] == "wait=1"


@pytest.mark.parametrize("text", ["at once", "in a list"])
async def test_what_is_done_within_the_wait_is_not_asked_after(
    client: Client, fake: Fake, text: str
) -> None:
    audio, _ = await heard(client, at(fake), OFFER, saying(text, "wav"))
    assert audio == spoken("wav")
    assert [each.method for each in fake.heard] == ["POST"]


async def test_a_model_without_a_version_is_asked_by_its_name(client: Client, fake: Fake) -> None:
    official = offer({"wav": "wav"}, upstream="minimax/speech-02-hd")
    await heard(client, at(fake), official, saying("at once", "wav"))
    [made] = fake.heard
    assert made.path == "/v1/models/minimax/speech-02-hd/predictions"
    assert json.loads(made.body) == {"input": {"text": "at once", "voice": "v"}}


async def test_its_seconds_are_billed_where_seconds_are_the_price(
    client: Client, fake: Fake
) -> None:
    _, [head, bill] = await heard(client, at(fake), OFFER, saying("Hello", "wav"))
    assert (head.upstream_id, bill.billed_units, bill.billed_malformed) == ("p1", 17, False)
    by_run = offer({"wav": "wav"}, extra=OFFER.extra, price=Price(per="run", rate=1))
    _, [_, bill] = await heard(client, at(fake), by_run, saying("Hello", "wav"))
    assert bill == Receipt()


async def test_speed_and_sampling_go_where_the_row_says(client: Client, fake: Fake) -> None:
    extra = {"text": "{text}", "rate": "{speed}", "seed": "{seed}", "heat": "{temperature}"}
    speech = saying("at once", "wav", speed=1.5, sampling=Sampling(seed=7))
    await heard(client, at(fake), offer({"wav": "wav"}, extra=extra), speech)
    told = json.loads(fake.heard[0].body)["input"]
    assert told == {"text": "at once", "rate": 1.5, "seed": 7}


async def test_options_go_to_the_model_and_to_nobody_else(client: Client, fake: Fake) -> None:
    speech = saying("at once", "wav", options={"webhook": "https://stranger", "text": "Free"})
    await heard(client, at(fake), OFFER, speech)
    told = json.loads(fake.heard[0].body)
    assert told.keys() == {"version", "input"}
    assert told["input"]["text"] == "at once"


@pytest.mark.parametrize("text", TELL)
async def test_each_failure_is_told_by_its_class(client: Client, fake: Fake, text: str) -> None:
    assert set(TELL) >= ERRORS.keys() | LIES.keys()
    error = await failure(client, at(fake), OFFER, saying(text, "wav"))
    assert (error.kind, error.owed, error.wait) == TELL[text]
    assert not any(each.headers["host"].startswith("localhost") for each in fake.heard)


async def test_closing_before_the_first_audio_cancels(client: Client, fake: Fake) -> None:
    pieces = speak(client, at(fake), OFFER, saying("Hello", "wav"))
    await anext(pieces)
    await pieces.aclose()
    await until(lambda: cancels(fake))
    assert [each.path for each in cancels(fake)] == ["/v1/predictions/p1/cancel"]
    assert cancels(fake)[0].headers["authorization"] == "Bearer test-key"


async def test_leaving_twice_while_it_is_asked_after_cancels_once(
    client: Client, fake: Fake
) -> None:
    listening = asyncio.create_task(heard(client, at(fake), OFFER, saying(NEVER, "wav")))
    await until(lambda: polls(fake))
    listening.cancel()
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await client.aclose()
    assert len(cancels(fake)) == 1


@pytest.mark.parametrize("text", [DEAF, UNWILLING])
async def test_whoever_leaves_waits_for_no_cancel(client: Client, fake: Fake, text: str) -> None:
    pieces = speak(client, at(fake), OFFER, saying(text, "wav"))
    await anext(pieces)
    begun = time.monotonic()
    await pieces.aclose()
    assert time.monotonic() - begun < 0.5
    await until(lambda: cancels(fake))
    await client.aclose()
    assert time.monotonic() - begun < 2


async def test_closing_in_the_middle_of_the_download_cancels(client: Client, fake: Fake) -> None:
    pieces = speak(client, at(fake), OFFER, saying("Hello", "wav"))
    async for piece in pieces:
        if isinstance(piece, bytes):
            break
    await pieces.aclose()
    await until(lambda: cancels(fake))


async def test_what_was_heard_to_its_end_is_not_cancelled(client: Client, fake: Fake) -> None:
    await heard(client, at(fake), OFFER, saying("Hello", "wav"))
    for ending in ENDINGS:
        await failure(client, at(fake), OFFER, saying(ending, "wav"))
    await client.aclose()
    assert not cancels(fake)


async def test_a_poll_that_never_ends_is_cancelled_and_asked_ever_less(fake: Fake) -> None:
    async with open_client(read_seconds=1.5) as hurried:
        begun = time.monotonic()
        await failure(hurried, at(fake), OFFER, saying(NEVER, "wav"))
        assert time.monotonic() - begun < 2.5
    assert len(cancels(fake)) == 1
    assert 4 <= len(polls(fake)) <= 6


def cancels(fake: Fake) -> list[Heard]:
    return [each for each in fake.heard if each.path.endswith("/cancel")]


def polls(fake: Fake) -> list[Heard]:
    return [each for each in fake.heard if each.path == "/v1/predictions/p1"]


async def test_an_offer_that_is_slow_by_nature_is_waited_for() -> None:
    slow = replace(OFFER, first_audio_seconds=20.0)
    with Fake(REPLICATE) as fake:
        async with open_client(read_seconds=1.0) as hasty:
            whom = provider("replicate", fake.url)
            error = await failure(hasty, whom, OFFER, saying(SLOW, "wav"))
            audio, _ = await heard(hasty, whom, slow, saying(SLOW, "wav"))
    assert error.kind == "timeout"
    assert audio == spoken("wav")

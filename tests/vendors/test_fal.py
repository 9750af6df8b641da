"""fal: at once and over its queue, their SDK and our wire hear the same; who leaves, cancels."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from providers import Client, Provider, Turn, open_client, speak
from tests.doubles.vendors import Fake, Heard, spoken
from tests.doubles.vendors.asking import failure, heard, offer, provider, saying, until
from tests.doubles.vendors.fal import ERRORS, FAL, LIES, NEVER, QUEUE, STRANGE, URLS
from tests.vendors.conftest import sdk

TURN = {"prompt": "{turn.text}", "audio_url": "{turn.audio}", "speaker_id": "{turn.speaker}"}
OFFER = offer(
    {"wav": "wav"},
    upstream="fal-ai/csm-1b",
    voice_ids={"v": "1"},
    extra={"scene": [{"text": "{text}", "speaker_id": "{speaker}"}], "context": [TURN]},
)
TELL = {
    "bad key": ("credential_refused", "nothing", None),
    "no credit": ("quota_exhausted", "nothing", None),
    "no app": ("not_offered", "nothing", None),
    "bad input": ("invalid_request", "nothing", None),
    "too often": ("rate_limit_exceeded", "nothing", 4.0),
    **dict.fromkeys(("broken", "no runner", "late"), ("provider_overloaded", "maybe", None)),
    "file gone": ("provider_overloaded", "maybe", None),
    "file is a page": ("not_audio", "maybe", None),
    "file too short": ("broken_off", "maybe", None),
    "file huge": ("not_audio", "maybe", None),
    **dict.fromkeys(sorted(URLS.keys() - {"in the answer"}), ("not_audio", "maybe", None)),
}
"""What a text comes to, over the queue or not: the kind, what it may cost, how long to wait."""
QUEUED = {
    "poll lost": ("provider_overloaded", "maybe", None),
    "result refused": ("invalid_request", "nothing", None),
    "result broken": ("provider_overloaded", "maybe", None),
    "result lost": ("provider_overloaded", "maybe", None),
    "result locked": ("provider_overloaded", "maybe", None),
    "result empty": ("not_audio", "maybe", None),
    **dict.fromkeys(STRANGE, ("not_audio", "maybe", None)),
    NEVER: ("timeout", "maybe", None),
}


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake(FAL) as running:
        yield running


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Client]:
    """Closed before the fake is, which so hears its last words."""
    async with open_client(read_seconds=2.0) as opened:
        yield opened


def at(fake: Fake, under: str = "") -> Provider:
    return provider(
        "fal",
        fake.url + under,
        auth="Authorization: Key",
        hosts=frozenset({".fal.media"}),
        billed_units_header="x-fal-billable-units",
    )


@pytest.mark.parametrize(("name", "under"), [("fal", ""), ("fal_queue", "/queue")])
async def test_the_sdk_and_the_wire_hear_the_same(
    client: Client, fake: Fake, name: str, under: str
) -> None:
    by_sdk = sdk(name, fake.url, "Hello")
    audio, _ = await heard(client, at(fake, under), OFFER, saying("Hello", "wav"))
    assert by_sdk == audio == spoken("wav")
    theirs, ours = (each for each in fake.heard if each.method == "POST")
    assert theirs.path == ours.path
    assert json.loads(theirs.body) == json.loads(ours.body)
    assert theirs.headers["authorization"] == ours.headers["authorization"] == "Key test-key"


async def test_the_queue_is_asked_where_it_says(client: Client, fake: Fake) -> None:
    await heard(client, at(fake, "/queue"), OFFER, saying("Hello", "wav"))
    place = f"{QUEUE}/requests/r1"
    paths = [QUEUE, *[f"{place}/status"] * 3, place, "/files/r1.wav"]
    assert [each.path for each in fake.heard] == paths
    assert {each.headers["authorization"] for each in fake.heard} == {"Key test-key"}


async def test_audio_may_stand_in_the_answer(client: Client, fake: Fake) -> None:
    audio, _ = await heard(client, at(fake), OFFER, saying("in the answer", "wav"))
    assert audio == spoken("wav")
    assert len(fake.heard) == 1


@pytest.mark.parametrize("under", ["", "/queue"])
async def test_its_id_and_what_it_bills_are_learned(client: Client, fake: Fake, under: str) -> None:
    _, receipts = await heard(client, at(fake, under), OFFER, saying("Hello", "wav"))
    assert {each.upstream_id for each in receipts} == {"r1"}
    assert receipts[-1].billed_units == 5


async def test_what_was_said_before_is_heard_with_its_speakers(client: Client, fake: Fake) -> None:
    before = (
        Turn("ann", "Who is there?", b"RIFF1"),
        Turn("bob", "Nobody."),
        Turn("v", "It is I.", b"RIFF2"),
        Turn("7", "And I.", b"RIFF3"),
    )
    await heard(client, at(fake), OFFER, saying("Hello", "wav", context=before))
    told = json.loads(fake.heard[0].body)
    assert told["scene"] == [{"text": "Hello", "speaker_id": 1}]
    assert [each["prompt"] for each in told["context"]] == ["Who is there?", "It is I.", "And I."]
    assert [each["speaker_id"] for each in told["context"]] == [0, 1, 7]
    assert told["context"][0]["audio_url"] == "data:audio/wav;base64,UklGRjE="


@pytest.mark.parametrize("under", ["", "/queue"])
@pytest.mark.parametrize("text", TELL)
async def test_each_failure_is_told_by_its_class(
    client: Client, fake: Fake, text: str, under: str
) -> None:
    assert TELL.keys() | QUEUED.keys() >= ERRORS.keys() | LIES.keys()
    error = await failure(client, at(fake, under), OFFER, saying(text, "wav"))
    assert (error.kind, error.owed, error.wait) == TELL[text]
    assert not any(each.headers["host"].startswith("localhost") for each in fake.heard)


@pytest.mark.parametrize("text", QUEUED)
async def test_each_failure_of_the_queue_is_told_by_its_class(
    client: Client, fake: Fake, text: str
) -> None:
    error = await failure(client, at(fake, "/queue"), OFFER, saying(text, "wav"))
    assert (error.kind, error.owed, error.wait) == QUEUED[text]
    assert not any(each.headers["host"].startswith("localhost") for each in fake.heard)


async def test_leaving_the_queue_cancels(client: Client, fake: Fake) -> None:
    speech = saying(NEVER, "wav")
    listening = asyncio.create_task(heard(client, at(fake, "/queue"), OFFER, speech))
    await until(lambda: [each for each in fake.heard if each.path.endswith("/status")])
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await client.aclose()
    assert [each.path for each in cancels(fake)] == [f"{QUEUE}/requests/r1/cancel"]
    assert cancels(fake)[0].headers["authorization"] == "Key test-key"


async def test_closing_in_the_middle_of_the_download_cancels(client: Client, fake: Fake) -> None:
    pieces = speak(client, at(fake, "/queue"), OFFER, saying("Hello", "wav"))
    async for piece in pieces:
        if isinstance(piece, bytes):
            break
    await pieces.aclose()
    await until(lambda: cancels(fake))


async def test_what_was_heard_to_its_end_is_not_cancelled(client: Client, fake: Fake) -> None:
    await heard(client, at(fake, "/queue"), OFFER, saying("Hello", "wav"))
    await client.aclose()
    assert not cancels(fake)


def cancels(fake: Fake) -> list[Heard]:
    return [each for each in fake.heard if each.method == "PUT"]

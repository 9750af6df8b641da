"""The CSM engine behind the gateway, as a person runs both: `tiny-random`, through OpenAI's SDK."""

import asyncio
import os
import signal
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import children, settled, until
from tests.doubles.running import Running, running
from tests.doubles.sound import read

CSM = "sesame/csm-1b"
FRAME_SECONDS = 0.08
FRAMES = 25
BYTES = round(FRAMES * FRAME_SECONDS * 48_000)
"""Of so many frames as pcm."""
TEXT = "It is a long way to the end of this sentence, but then it is over, and nothing is left."
LONG = 350
"""Frames of a clip that is not over when something happens to it."""
TOGETHER = 10


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase
) -> Iterator[Running]:
    more = {"GATEWAY_ENGINE_MODEL": "tiny-random", "GATEWAY_ENGINE_DEVICE": "cpu"}
    more |= {"GATEWAY_ENGINE_SLOTS": "12", "GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    data = tmp_path_factory.mktemp("engine")
    with running(data, new_database("sqlite"), **more) as started:
        until(lambda: speaks(started), 90)
        yield started


def speaks(gateway: Running) -> bool:
    with gateway.client() as client:
        body = {"model": CSM, "input": "Hello.", "response_format": "pcm", "max_tokens": 2}
        return client.post("/v1/audio/speech", json=body).status_code == 200


@pytest.fixture
def sdk(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as sdk:
        yield sdk


def asking(gateway: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def drawn(seed: int, frames: int = FRAMES) -> dict[str, object]:
    return {"seed": seed, "max_tokens": frames}


async def said(sdk: openai.AsyncOpenAI, seed: int) -> bytes:
    speech = await sdk.audio.speech.create(
        model=CSM,
        voice="conversational_a",
        input=TEXT,
        response_format="pcm",
        extra_body=drawn(seed),
    )
    return speech.content


async def alone(sdk: openai.AsyncOpenAI) -> list[bytes]:
    """What each seed says while nobody else is spoken to."""
    return [await said(sdk, seed) for seed in range(TOGETHER)]


@pytest.mark.parametrize("form", ["wav", "pcm", "mp3"])
def test_a_clip_is_as_long_as_its_frames(gateway: Running, sdk: openai.OpenAI, form: str) -> None:
    raw = sdk.audio.speech.with_raw_response.create(
        model=CSM,
        voice="conversational_a",
        input=TEXT,
        response_format=form,  # type: ignore[arg-type]  # a column
        extra_body=drawn(1),
    )
    assert (raw.headers["x-provider"], raw.headers["x-model"]) == ("local-csm", CSM)
    heard = read(raw.parse().content, form)
    slack = 0.1 if form == "mp3" else 0.0
    assert heard.seconds == pytest.approx(FRAMES * FRAME_SECONDS, abs=slack)
    assert heard.loudest > 0
    with gateway.client() as client:
        record = settled(client, raw.headers["x-generation-id"])
    assert (record["status"], record["cost"]) == ("settled", "0")
    assert record["characters"] == len(TEXT)


async def test_ten_at_once_are_spoken_each_as_if_alone(gateway: Running) -> None:
    async with asking(gateway) as sdk:
        wanted = await alone(sdk)
        heard = await asyncio.gather(*(said(sdk, seed) for seed in range(TOGETHER)))
    assert [len(each) for each in wanted] == [BYTES] * TOGETHER
    assert len(set(wanted)) == TOGETHER
    assert heard == wanted


async def test_one_that_leaves_harms_none_of_the_others(gateway: Running) -> None:
    async with asking(gateway) as sdk:
        wanted = await alone(sdk)
        leaving = asyncio.create_task(left(sdk))
        heard = await asyncio.gather(*(said(sdk, seed) for seed in range(TOGETHER)))
        generation = await leaving
    assert heard == wanted
    with gateway.client() as client:
        record = settled(client, generation)
    assert (record["cancelled"], record["status"]) == (True, "settled")


async def left(sdk: openai.AsyncOpenAI) -> str:
    """Take the beginning of a long clip, and go; gives its generation."""
    async with sdk.audio.speech.with_streaming_response.create(
        model=CSM,
        voice="conversational_b",
        input=TEXT * 6,
        response_format="pcm",
        extra_body=drawn(99, LONG),
    ) as response:
        async for _ in response.iter_bytes(3840):
            break
        return str(response.headers["x-generation-id"])


def server(gateway: Running) -> int:
    """The engine's server, which is a child of the gateway."""
    [pid] = until(lambda: children(gateway.process.pid))
    return pid


@pytest.mark.parametrize("whom", ["server", "engine process"])
def test_when_it_dies_in_the_middle_the_clip_is_cut_and_the_next_ones_are_spoken(
    gateway: Running, whom: str
) -> None:
    until(lambda: speaks(gateway), 90)
    victims = [server(gateway)] if whom == "server" else until(lambda: children(server(gateway)))
    body = {"model": CSM, "input": TEXT * 6, "response_format": "pcm", **drawn(5, LONG)}
    with gateway.client() as client:
        with client.stream("POST", "/v1/audio/speech", json=body) as response:
            chunks = response.iter_raw()
            next(chunks)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(httpx.RemoteProtocolError):
                all(True for _ in chunks)
        record = settled(client, response.headers["x-generation-id"])
    assert (record["status"], record["cost"]) == ("voided", "0")
    until(lambda: speaks(gateway), 90)


async def test_a_conversation_goes_on_from_what_was_said(gateway: Running) -> None:
    until(lambda: speaks(gateway), 90)
    async with asking(gateway) as sdk:
        first = await sdk.audio.speech.with_raw_response.create(
            model=CSM,
            voice="conversational_a",
            input="Who is there?",
            response_format="pcm",
            extra_body=drawn(3, 10),
        )
        turn = {"text": "Who is there?", "generation_id": first.headers["x-generation-id"]}
        answers = [
            await sdk.audio.speech.create(
                model=CSM,
                voice="conversational_b",
                input="It is I.",
                response_format="pcm",
                extra_body=drawn(4, 10) | {"context": context},
            )
            for context in ([], [turn], [turn])
        ]
    without, once, again = (each.content for each in answers)
    assert len(without) == len(once) == round(10 * FRAME_SECONDS * 48_000)
    assert without != once
    assert once == again

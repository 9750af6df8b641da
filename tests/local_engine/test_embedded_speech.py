"""What is heard when the engine is asked to speak."""

import asyncio
import struct
from itertools import accumulate, pairwise

import httpx
import pytest
from embedded_engine import SAMPLE_RATE, RunningEngine, speech

SENTENCE = "The quick brown fox jumps over the lazy dog today."
LONG = " ".join(f"This is sentence number {n} of a long text." for n in range(400))


def samples(pcm: bytes) -> memoryview:
    return memoryview(pcm).cast("h")


def loudness(pcm: bytes) -> float:
    heard = samples(pcm)
    return (sum(s * s for s in heard) / len(heard)) ** 0.5


def test_pcm_is_speech_of_a_plausible_length(engine: RunningEngine) -> None:
    answer = engine.speak(SENTENCE, response_format="pcm")
    assert answer.headers["content-type"] == "audio/pcm;rate=22050;channels=1"
    assert 2 < len(answer.content) / 2 / SAMPLE_RATE < 5
    assert loudness(answer.content) > 500


def test_wav_is_the_default_and_has_a_streamed_header(engine: RunningEngine) -> None:
    answer = engine.speak(SENTENCE)
    header = struct.unpack("<4sI4s4sIHHIIHH4sI", answer.content[:44])
    unknown = 0xFFFFFFFF
    assert answer.headers["content-type"] == "audio/wav"
    assert header[:4] == (b"RIFF", unknown, b"WAVE", b"fmt ")
    assert header[4:11] == (16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    assert header[11:] == (b"data", unknown)
    assert loudness(answer.content[44:]) > 500


async def test_the_first_audio_comes_long_before_the_last(client: httpx.AsyncClient) -> None:
    clock = asyncio.get_running_loop().time
    began, first, chunks = clock(), 0.0, 0
    async with client.stream("POST", "/v1/audio/speech", json=speech(LONG)) as answer:
        async for _ in answer.aiter_raw():
            first = first or clock() - began
            chunks += 1
    assert chunks > 10
    assert first < (clock() - began) / 3


@pytest.mark.parametrize(("speed", "factor"), [(0.5, 2), (1.5, 2 / 3), (2, 1 / 2), (4, 1 / 4)])
def test_speed_divides_the_length(engine: RunningEngine, speed: float, factor: float) -> None:
    text = " ".join([SENTENCE] * 3)
    normal = engine.seconds(text)
    assert engine.seconds(text, speed=speed) == pytest.approx(normal * factor, rel=0.15)


def test_below_its_slowest_rate_speed_changes_nothing_more(engine: RunningEngine) -> None:
    slowest = engine.seconds(SENTENCE, speed=0.4)
    assert engine.seconds(SENTENCE, speed=0.25) == pytest.approx(slowest, rel=0.02)


def smoothed(heard: memoryview) -> list[int]:
    """Leave what lies below 300 Hz or so: the pitch, not the consonants."""
    sums = list(accumulate(heard, initial=0))
    return [sums[i + 40] - sums[i] for i in range(len(sums) - 40)]


def crossings(pcm: bytes) -> float:
    """Say how often the smoothed wave crosses zero: a voice's colour, in one number."""
    heard = smoothed(samples(pcm))
    return sum((a < 0) != (b < 0) for a, b in pairwise(heard)) / len(heard)


@pytest.mark.parametrize("other", [{"voice": "en-us+f3"}, {"voice": {"id": "de"}}, {"pitch": 99}])
def test_voices_and_pitches_differ(engine: RunningEngine, other: dict[str, object]) -> None:
    usual = engine.speak(SENTENCE, response_format="pcm").content
    unusual = engine.speak(SENTENCE, response_format="pcm", **other).content
    assert loudness(unusual) > 500
    assert crossings(unusual) != pytest.approx(crossings(usual), rel=0.02)


def test_a_variant_does_not_stay_for_the_next_request(engine: RunningEngine) -> None:
    usual = crossings(engine.speak(SENTENCE, response_format="pcm").content)
    for _ in range(2):  # so that both workers have had it
        engine.speak(SENTENCE, voice="en-us+whisper", pitch=0, speed=3)
    after = crossings(engine.speak(SENTENCE, response_format="pcm").content)
    assert after == pytest.approx(usual, rel=0.01)


@pytest.mark.parametrize("name", ["en", "fr", "EN-US", "pt-pt", "zh", "EN-us+F3"])
def test_tags_and_case_are_taken_as_people_write_them(engine: RunningEngine, name: str) -> None:
    assert engine.seconds("One two three.", voice=name) > 0.3


async def test_every_listed_voice_and_variant_speaks(client: httpx.AsyncClient) -> None:
    catalogue = (await client.get("/v1/audio/voices")).json()
    names = [voice["id"] for voice in catalogue["voices"]]
    names += [f"en-us{variant['id']}" for variant in catalogue["variants"]]
    assert len(names) == len(set(names)) > 200
    for name in names:
        body = speech("hello ᎣᏏᏲ 1 2 3", voice=name, response_format="pcm")
        answer = await client.post("/v1/audio/speech", json=body)
        assert answer.status_code == 200, (name, answer.text)
        assert loudness(answer.content) > 100, name


async def test_eight_at_once_on_two_workers_do_not_mix(client: httpx.AsyncClient) -> None:
    bodies = [speech(" ".join([SENTENCE] * n), response_format="pcm") for n in range(1, 9)]
    answers = await asyncio.gather(*(client.post("/v1/audio/speech", json=b) for b in bodies))
    alone = [await client.post("/v1/audio/speech", json=b) for b in bodies]
    for together, single in zip(answers, alone, strict=True):
        assert len(together.content) == pytest.approx(len(single.content), rel=0.02)
        assert crossings(together.content) == pytest.approx(crossings(single.content), rel=0.05)


def test_markup_and_phonemes_and_commands_are_only_text(engine: RunningEngine) -> None:
    assert engine.seconds("<speak>one</speak>") > 1.5 * engine.seconds("one")
    assert engine.seconds("[[h@l'oU]] one") > 1.5 * engine.seconds("one")
    plain = engine.seconds(SENTENCE)
    assert engine.seconds("\x01400S " + SENTENCE) > plain


def test_null_and_unknown_fields_are_passed_over(engine: RunningEngine) -> None:
    nulls = dict.fromkeys(("voice", "response_format", "speed", "pitch", "stream_format"))
    answer = engine.speak("hello", **nulls, instructions="", seed=[1])
    assert answer.headers["content-type"] == "audio/wav"

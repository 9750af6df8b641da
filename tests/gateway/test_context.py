"""`context` at the door: which turns are taken, and how a wrong one is told."""

import base64
import json

import pytest

from gateway.endpoints.body import read_body
from gateway.errors import InvalidRequest
from providers import Turn
from tests.doubles.sound import clip

WAV = clip("wav", 0.1)
SAID: dict[str, object] = {"speaker": "a", "text": "Who is there?"}


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def read(*context: dict[str, object]) -> tuple[Turn, ...]:
    content = json.dumps({"model": "a/m", "input": "It is I.", "context": context}).encode()
    return read_body(content, default_format="mp3", strict=True).speech.context


@pytest.mark.parametrize("before", ["", "data:audio/wav;base64,", "data:audio/x-wav;base64,"])
def test_turns_are_taken_in_order_with_their_audio(before: str) -> None:
    heard = SAID | {"speaker": 1, "audio": before + encoded(WAV)}
    assert read(SAID, heard) == (Turn("a", "Who is there?"), Turn("1", "Who is there?", WAV))


def test_there_may_be_none() -> None:
    assert read() == ()


def test_ten_turns_of_ten_thousand_characters_and_eight_megabytes_are_taken() -> None:
    long = WAV + bytes(8_000_000 - len(WAV))
    turns = [SAID | {"text": "x" * 1000}] * 9
    taken = read(*turns, SAID | {"text": "y" * 1000, "audio": encoded(long)})
    assert (len(taken), taken[9].audio) == (10, long)


@pytest.mark.parametrize(
    ("context", "field", "told"),
    [
        ([SAID] * 11, "context", "at most 10"),
        ([SAID, SAID | {"text": "x" * 10_000}], "context", "more than 10000 characters"),
        (
            [SAID | {"audio": encoded(WAV + bytes(4_000_000))}] * 2,
            "context",
            "more than 8000000 bytes",
        ),
        ([SAID, SAID | {"text": " "}], "context.1.text", "is empty"),
        ([SAID | {"text": "a\0b"}], "context.0.text", "NUL"),
        ([{"text": " ", "generation_id": "g"}], "context.0.text", "of a generation are not kept"),
        ([{"generation_id": "g"}], "context.0.text", "of a generation are not kept"),
        ([SAID | {"generation_id": ""}], "context.generation_id", "length >= 1"),
        ([SAID | {"generation_id": "g" * 65}], "context.generation_id", "length <= 64"),
        ([SAID, SAID, SAID | {"audio": "***"}], "context.2.audio", "base64 of a WAV file"),
        ([SAID | {"audio": "https://a.example/b.wav"}], "context.0.audio", "base64 of a WAV"),
        ([SAID | {"audio": "data:text/html;base64,AAAA"}], "context.0.audio", "base64 of a WAV"),
        ([SAID | {"audio": ""}], "context.0.audio", "ends before"),
        ([SAID | {"audio": encoded(clip("mp3", 0.1))}], "context.0.audio", "not a WAV file"),
        ([SAID | {"audio": encoded(WAV[:44])}], "context.0.audio", "ends before its samples"),
        ([SAID | {"audio": encoded(WAV[:-2])}], "context.0.audio", "ends before its samples"),
        ([SAID, {"text": "x"}], "context.1.speaker", "missing; say who spoke"),
        ([SAID | {"speaker": -1}], "context.speaker", ">= 0"),
        ([SAID | {"speaker": "s" * 201}], "context.speaker", "length <= 200"),
    ],
)
def test_a_turn_that_cannot_be_taken_is_named(
    context: list[dict[str, object]], field: str, told: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(*context)
    assert (caught.value.status, caught.value.param) == (400, field)
    assert told in caught.value.message

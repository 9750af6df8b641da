"""What every client here says, and whether it was heard."""

import base64
import json
from typing import Any

from tests.doubles.sound import read

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
FOX = "The quick brown fox"


def assert_fox(audio: bytes, form: str) -> None:
    """Speech in this format, of about the right length, and not silence."""
    heard = read(audio, form)
    assert heard.rate == (48_000 if form == "opus" else 24_000)
    assert heard.channels == 1
    assert 0.8 < heard.seconds < 3
    assert heard.loudest > 3000


def events(body: str) -> list[dict[str, Any]]:
    """Server-sent events; every line of the body must be one, or the empty line behind it."""
    lines = body.splitlines()
    assert lines[1::2] == [""] * (len(lines) // 2)
    assert all(line.startswith("data: ") for line in lines[::2])
    return [json.loads(line.removeprefix("data: ")) for line in lines[::2]]


def audio_of(told: list[dict[str, Any]]) -> bytes:
    """The audio that speech events carry, once they have come to their proper end."""
    *deltas, done = told
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert all(isinstance(count, int) for count in done["usage"].values())
    return b"".join(base64.b64decode(event["audio"]) for event in deltas)

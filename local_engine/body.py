"""A speech request's body, at the door: what every voice checks in the same way."""

import json
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from local_engine.audio import Format
from local_engine.errors import Refusal, Unspeakable

Body = TypeVar("Body", bound=msgspec.Struct)
Number = TypeVar("Number", int, float)


class VoiceReference(msgspec.Struct):
    """A voice by its id, as OpenAI writes custom voices."""

    id: str


def read(body: bytes, kind: type[Body]) -> Body:
    """Decode the body, or say which field is wrong and what it allows."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong_json(body) from error


def name_of(voice: str | VoiceReference | None, default: str) -> str:
    """Give the voice's name, however it is written."""
    name = voice.id if isinstance(voice, VoiceReference) else voice
    return default if name is None else name


def speakable(text: str | None, max_characters: int) -> str:
    """Give the text if there may be something to say in it."""
    if text is None:
        raise Refusal("input is missing; it is the text to be spoken", "input")
    if len(text) > max_characters:
        raise Refusal(f"input has {len(text)} characters; {max_characters} are allowed", "input")
    if "\0" in text:
        raise Refusal("input has a NUL character in it", "input")
    if not text.strip():
        raise Unspeakable
    return text


def chosen_format(
    name: str | None, stream_format: str | None, formats: Mapping[str, Format]
) -> Format:
    """Find the response format; WAV where none is named."""
    if stream_format not in (None, "audio"):
        raise Refusal("stream_format can only be 'audio'", "stream_format")
    wanted = name or "wav"
    if wanted not in formats:
        allowed = " or ".join(map(repr, formats))
        raise Refusal(f"response_format {wanted!r} is not made here; {allowed}", "response_format")
    return formats[wanted]


def within(param: str, value: Number | None, low: Number, high: Number) -> Number | None:
    """Give the value if it is between the two, or absent."""
    if value is not None and not low <= value <= high:
        raise Refusal(f"{param} is {value}; it can be {low} to {high}", param)
    return value


def _wrong_json(body: bytes) -> Refusal:
    """Tell a lone surrogate, which only Python's own parser lets pass, from what is not JSON."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Refusal(f"the body is not JSON: {error}")
    named = fields.items() if isinstance(fields, dict) else ()
    param = next((name for name, value in named if _has_half_a_pair(value)), "input")
    return Refusal(f"{param} has half of a surrogate pair in it", param)


def _has_half_a_pair(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _wrong_field(message: str) -> Refusal:
    """Lead msgspec's message, "Expected `int` <= 100 - at `$.pitch`", back to the field."""
    found = re.search(r"(.*) - at `\$\.([^`]+)`", message)
    if found is None:
        return Refusal(f"the body is not a speech request: {message}")
    param = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", found[2])
    return Refusal(f"{param}: {found[1]}", param)

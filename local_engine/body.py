"""The speech request's body, at the door: checked, then turned into an Utterance and a Format."""

import json
import re
from typing import Self

import msgspec

from local_engine.audio import FORMATS, Format
from local_engine.errors import Refusal, UnknownModel, Unspeakable
from local_engine.espeak.utterance import Utterance
from local_engine.espeak.voices import DEFAULT_VOICE, Voices
from local_engine.settings import MODEL

_NORMAL_RATE = 175
"""eSpeak's words a minute at speed 1. It slows down to 80 (speed 0.46) and stays there below; above
450 it quickens the finished samples instead, so that speed 4 is four times as fast."""
_NORMAL_PITCH = 50
# To eSpeak a control character may begin a command (U+0001); here they are only gaps.
_CONTROLS = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}


class VoiceReference(msgspec.Struct):
    """A voice by its id, as OpenAI writes custom voices."""

    id: str


class SpeechBody(msgspec.Struct):
    """OpenAI's fields that mean something here, and `pitch`; others are passed over."""

    model: str | None = None
    input: str | None = None
    voice: str | VoiceReference | None = None
    response_format: str | None = None
    speed: float | None = None
    pitch: int | None = None
    stream_format: str | None = None

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Decode the body, or say which field is wrong and what it allows."""
        try:
            return msgspec.json.decode(body, type=cls)
        except msgspec.ValidationError as error:
            raise _wrong_field(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _wrong_json(body) from error

    def utterance(self, voices: Voices, max_characters: int) -> Utterance:
        """Say in the library's terms what is to be said."""
        if self.model is None:
            raise Refusal(f"model is missing; this engine has {MODEL!r}", "model")
        if self.model != MODEL:
            raise UnknownModel(
                f"model {self.model!r} is not here; this engine has {MODEL!r}", "model"
            )
        return Utterance(
            text=self._text(max_characters),
            voice=voices.file(self._voice()),
            rate=round(_NORMAL_RATE * _within("speed", self.speed, 0.25, 4, absent=1)),
            pitch=round(_within("pitch", self.pitch, 0, 100, absent=_NORMAL_PITCH)),
        )

    def format(self) -> Format:
        """Say in which format it is to leave."""
        if self.stream_format not in (None, "audio"):
            raise Refusal("stream_format can only be 'audio'", "stream_format")
        name = self.response_format or "wav"
        if name not in FORMATS:
            allowed = " or ".join(map(repr, FORMATS))
            raise Refusal(
                f"response_format {name!r} is not made here; {allowed}", "response_format"
            )
        return FORMATS[name]

    def _text(self, max_characters: int) -> str:
        text = self.input
        if text is None:
            raise Refusal("input is missing; it is the text to be spoken", "input")
        if len(text) > max_characters:
            raise Refusal(
                f"input has {len(text)} characters; {max_characters} are allowed", "input"
            )
        if "\0" in text:
            raise Refusal("input has a NUL character in it", "input")
        if not text.strip():
            raise Unspeakable
        return text.translate(_CONTROLS)

    def _voice(self) -> str:
        voice = self.voice.id if isinstance(self.voice, VoiceReference) else self.voice
        return DEFAULT_VOICE if voice is None else voice


def _within(param: str, value: float | None, low: float, high: float, *, absent: float) -> float:
    if value is None:
        return absent
    if not low <= value <= high:
        raise Refusal(f"{param} is {value}; it can be {low} to {high}", param)
    return value


def _wrong_json(body: bytes) -> Refusal:
    """Tell a lone surrogate, which only Python's own parser lets pass, from what is not JSON."""
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        return Refusal(f"the body is not JSON: {error}")
    return Refusal("input has half of a surrogate pair in it", "input")


def _wrong_field(message: str) -> Refusal:
    """Lead msgspec's message, "Expected `int` <= 100 - at `$.pitch`", back to the field."""
    found = re.search(r"(.*) - at `\$\.(\w+)", message)
    if found is None:
        return Refusal(f"the body is not a speech request: {message}")
    return Refusal(f"{found[2]}: {found[1]}", found[2])

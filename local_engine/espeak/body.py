"""The speech request's body, at the door: checked, then turned into an Utterance and a Format."""

from typing import Self

import msgspec

from local_engine import body as door
from local_engine.audio import Format, formats_at
from local_engine.errors import Refusal, UnknownModel
from local_engine.espeak.library import SAMPLE_RATE
from local_engine.espeak.settings import MODEL
from local_engine.espeak.utterance import Utterance
from local_engine.espeak.voices import DEFAULT_VOICE, Voices

_NORMAL_RATE = 175
"""eSpeak's words a minute at speed 1. It slows down to 80 (speed 0.46) and stays there below; above
450 it quickens the finished samples instead, so that speed 4 is four times as fast."""
_NORMAL_PITCH = 50
# To eSpeak a control character may begin a command (U+0001); here they are only gaps.
_CONTROLS = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
_FORMATS = formats_at(SAMPLE_RATE)


class SpeechBody(msgspec.Struct):
    """OpenAI's fields that mean something here, and `pitch`; others are passed over."""

    model: str | None = None
    input: str | None = None
    voice: str | door.VoiceReference | None = None
    response_format: str | None = None
    speed: float | None = None
    pitch: int | None = None
    stream_format: str | None = None

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Decode the body, or say which field is wrong and what it allows."""
        return door.read(body, cls)

    def utterance(self, voices: Voices, max_characters: int) -> Utterance:
        """Say in the library's terms what is to be said."""
        if self.model is None:
            raise Refusal(f"model is missing; this engine has {MODEL!r}", "model")
        if self.model != MODEL:
            raise UnknownModel(
                f"model {self.model!r} is not here; this engine has {MODEL!r}", "model"
            )
        speed = door.within("speed", self.speed, 0.25, 4)
        pitch = door.within("pitch", self.pitch, 0, 100)
        return Utterance(
            text=door.speakable(self.input, max_characters).translate(_CONTROLS),
            voice=voices.file(door.name_of(self.voice, DEFAULT_VOICE)),
            rate=round(_NORMAL_RATE * (1 if speed is None else speed)),
            pitch=_NORMAL_PITCH if pitch is None else pitch,
        )

    def format(self) -> Format:
        """Say in which format it is to leave."""
        return door.chosen_format(self.response_format, self.stream_format, _FORMATS)

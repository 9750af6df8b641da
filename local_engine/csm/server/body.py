"""The speech request's body, at the door: checked, then turned into a Submit and a Format."""

import asyncio
from collections.abc import Sequence

import msgspec

from local_engine import body as door
from local_engine.audio import Format, formats_at
from local_engine.csm.messages import Ready, Sampling, Submit, Turn
from local_engine.csm.server.context import ContextTurn, read_context
from local_engine.errors import Refusal

MOST_CHARACTERS = 4096
_MOST_KEY = 256
_FURTHEST = 2**63 - 1
_LONGEST_DEADLINE_MS = 3_600_000


class SpeechBody(msgspec.Struct):
    """OpenAI's fields that mean something here, and the engine's own; others are passed over."""

    model: str | None = None
    input: str | None = None
    voice: str | door.VoiceReference | None = None
    response_format: str | None = None
    stream_format: str | None = None
    speed: float | None = None
    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    """Frames, 12.5 a second."""
    context: list[ContextTurn] | None = None
    deadline_ms: int | None = None
    user: str | None = None
    """The key whose share of the slots it is."""

    def format(self, ready: Ready) -> Format:
        """Say in which format it is to leave."""
        formats = formats_at(ready.sample_rate)
        return door.chosen_format(self.response_format, self.stream_format, formats)

    async def submit(self, utterance: str, ready: Ready) -> Submit:
        """Say in the engine's terms what is to be said; the client gives it its number."""
        self._check_speed()
        text = door.speakable(self.input, MOST_CHARACTERS)
        deadline = door.within("deadline_ms", self.deadline_ms, 1, _LONGEST_DEADLINE_MS)
        return Submit(
            number=0,
            utterance=utterance,
            key=self._key(),
            text=text,
            voice=self._voice(ready.voices),
            sampling=self._sampling(),
            most_frames=_at_least("max_tokens", self.max_tokens, 1),
            deadline_seconds=None if deadline is None else deadline / 1000,
            context=await self._turns(ready.sample_rate),
        )

    def _check_speed(self) -> None:
        if self.speed not in (None, 1.0):
            raise Refusal(
                f"speed is {self.speed}; the model speaks at its own pace: it can be 1", "speed"
            )

    def _key(self) -> str:
        key = self.user or ""
        if len(key) > _MOST_KEY:
            raise Refusal(f"user can have {_MOST_KEY} characters", "user")
        return key

    def _voice(self, voices: Sequence[str]) -> str:
        voice = door.name_of(self.voice, voices[0] if voices else "")
        if voice not in voices:
            there_are = ", ".join(map(repr, voices))
            raise Refusal(f"voice {voice!r} is not known; there are {there_are}", "voice")
        return voice

    def _sampling(self) -> Sampling:
        return Sampling(
            seed=door.within("seed", self.seed, -_FURTHEST - 1, _FURTHEST),
            temperature=door.within("temperature", self.temperature, 0.0, 2.0),
            top_k=_at_least("top_k", self.top_k, 0),
            top_p=_above_0("top_p", self.top_p, 1.0),
            min_p=door.within("min_p", self.min_p, 0.0, 1.0),
            repetition_penalty=_above_0("repetition_penalty", self.repetition_penalty, 2.0),
        )

    async def _turns(self, rate: int) -> tuple[Turn, ...]:
        if not self.context:
            return ()
        return await asyncio.to_thread(read_context, self.context, rate)


def _at_least(param: str, value: int | None, low: int) -> int | None:
    if value is not None and value < low:
        raise Refusal(f"{param} is {value}; it can be {low} or more", param)
    return door.within(param, value, low, _FURTHEST)


def _above_0(param: str, value: float | None, high: float) -> float | None:
    if value is not None and not 0 < value <= high:
        raise Refusal(f"{param} is {value}; it can be above 0 and up to {high}", param)
    return value

"""The speech body at the door: checked, and turned into the gateway's own terms."""

import unicodedata
from dataclasses import dataclass, replace
from typing import get_args

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.access.allowed import Allowed
from gateway.endpoints.context import read_context, recalled
from gateway.endpoints.decoding import decode, wrong
from gateway.endpoints.preferring import policy, preferences
from gateway.endpoints.shapes import (
    TOLERATED,
    FormatMap,
    FormatName,
    ProviderBody,
    SampleRate,
    SpeechBody,
    VoiceId,
)
from gateway.kept.clips import Clips
from gateway.metering.spoken import can_be_spoken
from gateway.routing.planning import Asked
from gateway.routing.policies import POLICIES, Policy
from gateway.routing.preferences import (
    Continuity,
    Partition,
    Percentile,
    Preferences,
    VoiceSwitch,
)
from gateway.routing.tasks import TASK_PREFIX
from providers import Sampling, Speech

RATES_OF_OPUS = (8000, 12000, 16000, 24000, 48000)
PCM_RATE = 24_000
AUTO = "auto"
_FORMATS, _RATES = ", ".join(get_args(FormatName)), ", ".join(map(str, get_args(SampleRate)))
_POLICIES, _PERCENTILES = ", ".join(POLICIES), ", ".join(get_args(Percentile))
_ALLOWED = {
    "response_format": f'{_FORMATS}, or {{"type": ..., "sample_rate": ...}}',
    "response_format.type": _FORMATS,
    "response_format.sample_rate": _RATES,
    "speed": "0.25 to 4.0",
    "stream_format": "audio, sse",
    "cache": "default, bypass, only",
    "provider.sort": f'{_POLICIES}, or {{"by": ..., "partition": ...}}',
    "provider.sort.by": _POLICIES,
    "provider.sort.partition": ", ".join(get_args(Partition)),
    "provider.preferred_max_latency": f"seconds, or a map of {_PERCENTILES}",
    "provider.preferred_min_throughput": f"seconds of audio a second, or a map of {_PERCENTILES}",
    "provider.data_collection": "allow, deny",
    "provider.voice_switch": ", ".join(get_args(VoiceSwitch)),
    "provider.continuity": ", ".join(get_args(Continuity)),
    "input": "text, or a list of turns, each with a text",
    "voice": 'a name of at most 200 characters, or {"id": ...}',
}
_KNOWN = frozenset(SpeechBody.__struct_fields__) | TOLERATED
_decoder = msgspec.json.Decoder(SpeechBody)


@dataclass(frozen=True, slots=True)
class Request:
    """A speech body in the gateway's own terms."""

    names: tuple[str, ...]
    """Model names as asked, first choice first."""
    speech: Speech
    preferences: Preferences
    policy: Policy | None
    sse: bool
    deadline_seconds: float | None
    user: str | None
    session_id: str | None
    named: tuple[str | None, ...] = ()
    """Which earlier generation each turn of the context names."""

    def asked(self, allowed: Allowed) -> Asked:
        """What is to be planned, for a key that may use no more than is allowed."""
        preferences = replace(self.preferences, allowed=allowed)
        return Asked(self.names, self.speech, preferences, self.policy)

    async def recalled(self, key_hash: str, reading: AsyncEngine, kept: Clips) -> "Request":
        """The same, with what is known of the generations that its context names."""
        turns = await recalled(self.speech.context, self.named, key_hash, reading, kept)
        return replace(self, speech=replace(self.speech, context=turns))


def read_body(
    content: bytes,
    *,
    default_format: FormatName,
    strict: bool,
    default_task: str | None = None,
) -> Request:
    """Understand a speech body; InvalidRequest names the field and what is allowed.

    strict: unknown fields are refused by name, as OpenAI does.
    default_task: the key's own, for a body that names no model or `auto`.
    """
    body = decode(content, _decoder, _ALLOWED)
    if strict:
        _refuse_unknown(content)
    _check_names(body)
    wanted = body.response_format or default_format
    form = wanted if isinstance(wanted, FormatMap) else FormatMap(wanted)
    if form.type == "opus" and form.sample_rate not in {None, *RATES_OF_OPUS}:
        listed = ", ".join(map(str, RATES_OF_OPUS))
        raise wrong("response_format.sample_rate", f"opus takes {listed}")
    text, voice, instructions = _said(body)
    _check_text(text)
    provider = body.provider or ProviderBody()
    return Request(
        names=_names(body, default_task),
        speech=Speech(
            text=text,
            voice=voice,
            format=form.type,
            sample_rate=form.sample_rate,
            speed=body.speed,
            instructions=instructions or None,
            sampling=Sampling(
                seed=body.seed,
                temperature=body.temperature,
                top_k=body.top_k,
                top_p=body.top_p,
                min_p=body.min_p,
                repetition_penalty=body.repetition_penalty,
                max_tokens=body.max_tokens,
            ),
            context=read_context(body.context),
        ),
        preferences=preferences(provider),
        policy=policy(provider),
        sse=body.stream_format == "sse",
        deadline_seconds=body.deadline_ms / 1000 if body.deadline_ms else None,
        user=body.user,
        session_id=body.session_id,
        named=tuple(turn.generation_id for turn in body.context or ()),
    )


def _names(body: SpeechBody, default_task: str | None) -> tuple[str, ...]:
    """The models that are asked for, first choice first."""
    if body.task:
        return (TASK_PREFIX + body.task,)
    model = body.model
    if default_task and model in {None, AUTO}:
        model = TASK_PREFIX + default_task
    named = ([model] if model else []) + (body.models or [])
    if not named:
        raise wrong("model", "missing; name a model, a task or `auto`")
    return tuple(named)


def _refuse_unknown(content: bytes) -> None:
    given = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    if unknown := sorted(given.keys() - _KNOWN):
        known = ", ".join(SpeechBody.__struct_fields__)
        raise wrong(unknown[0][:100], f"is not a known field; known: {known}")


def _check_names(body: SpeechBody) -> None:
    """What is written down with a request has no control characters; PostgreSQL takes no NUL."""
    written = [("model", body.model or ""), *(("models", each) for each in body.models or ())]
    written += [("task", body.task or ""), ("user", body.user or "")]
    written.append(("session_id", body.session_id or ""))
    for field, value in written:
        if any(unicodedata.category(letter) == "Cc" for letter in value):
            raise wrong(field, "control characters are not allowed in it")


def _said(body: SpeechBody) -> tuple[str, str, str | None]:
    """The text, voice and instructions; turns that agree on how to be said become one text."""
    voice = body.voice.id if isinstance(body.voice, VoiceId) else body.voice or ""
    if isinstance(body.input, str):
        return body.input, voice, body.instructions
    manners = {(turn.voice or voice, turn.instructions or body.instructions) for turn in body.input}
    if len(manners) > 1:
        raise wrong("input", "turns in several voices are spoken by none of the offers here")
    if manners:
        (voice, instructions) = manners.pop()
        return "\n".join(turn.text for turn in body.input), voice, instructions
    return "", voice, body.instructions


def _check_text(text: str) -> None:
    if not text.strip():
        raise wrong("input", "is empty; give at least one word")
    if "\0" in text:
        raise wrong("input", "NUL characters (\\u0000) are not text")
    if not can_be_spoken(text):
        raise wrong("input", "nothing in it can be spoken; give at least one letter or digit")

"""The speech body at the door: checked, and turned into the gateway's own terms."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import get_args

import msgspec

from gateway.endpoints.decoding import decode, wrong
from gateway.endpoints.shapes import (
    TOLERATED,
    FormatMap,
    FormatName,
    Money,
    ProviderBody,
    SampleRate,
    SpeechBody,
    VoiceId,
)
from gateway.metering.spoken import can_be_spoken
from gateway.routing.policies import POLICIES, Policy
from gateway.routing.preferences import Preferences, PriceCap
from gateway.routing.tasks import TASK_PREFIX
from providers import Sampling, Speech

MOST_USD = 10**9
FINEST_USD = 30
"""How many decimals an amount of USD may have."""
RATES_OF_OPUS = (8000, 12000, 16000, 24000, 48000)
PCM_RATE = 24_000
AUTO = "auto"
_FORMATS, _RATES = ", ".join(get_args(FormatName)), ", ".join(map(str, get_args(SampleRate)))
_ALLOWED = {
    "response_format": f'{_FORMATS}, or {{"type": ..., "sample_rate": ...}}',
    "response_format.type": _FORMATS,
    "response_format.sample_rate": _RATES,
    "speed": "0.25 to 4.0",
    "stream_format": "audio, sse",
    "cache": "default, bypass, only",
    "provider.sort": ", ".join(POLICIES),
    "provider.data_collection": "allow, deny",
    "provider.voice_switch": "never, mapped, any",
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
        ),
        preferences=_preferences(provider),
        policy=_policy(provider),
        sse=body.stream_format == "sse",
        deadline_seconds=body.deadline_ms / 1000 if body.deadline_ms else None,
        user=body.user,
        session_id=body.session_id,
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


def _preferences(provider: ProviderBody) -> Preferences:
    return Preferences(
        order=tuple(provider.order or ()),
        only=tuple(provider.only or ()),
        ignore=tuple(provider.ignore or ()),
        allow_fallbacks=provider.allow_fallbacks is not False,
        require_parameters=bool(provider.require_parameters),
        refuse_data_collection=provider.data_collection == "deny" or bool(provider.zdr),
        cap=_cap(provider.max_price),
        voices=provider.voices or {},
        voice_switch=provider.voice_switch or "mapped",
        options=provider.options or {},
    )


def _policy(provider: ProviderBody) -> Policy | None:
    if not isinstance(provider.sort, dict):
        return provider.sort
    try:
        policy: Policy = msgspec.convert(provider.sort.get("by"), Policy)
    except msgspec.ValidationError as error:
        raise wrong("provider.sort.by", f"{error}; allowed: {', '.join(POLICIES)}") from None
    return policy


def _cap(price: Money | Mapping[str, Money | None] | None) -> PriceCap:
    """USD per million characters; as a map, `request` bounds the whole request."""
    if not isinstance(price, Mapping):
        return PriceCap(usd_per_million_characters=_usd(price, "provider.max_price"))
    if unknown := sorted(price.keys() - {"prompt", "request", "completion", "audio", "image"}):
        named = f"provider.max_price.{unknown[0][:100]}"
        raise wrong(named, "is unknown; `prompt` and `request` count")
    return PriceCap(
        usd_per_million_characters=_usd(price.get("prompt"), "provider.max_price.prompt"),
        usd_per_request=_usd(price.get("request"), "provider.max_price.request"),
    )


def _usd(amount: Money | None, field: str) -> Decimal | None:
    if amount is None:
        return None
    told = str(amount)[:40]
    try:
        usd = Decimal(str(amount))
    except InvalidOperation:
        raise wrong(field, f"{told!r} is not a decimal number of USD") from None
    exponent = usd.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -FINEST_USD or not 0 <= usd <= MOST_USD:
        raise wrong(field, f"{told!r} is not an amount of USD from 0 to {MOST_USD}")
    return usd

"""The speech body's shape: every field that a client may send, with its bounds (design.md 7)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.routing.policies import Policy

Name = Annotated[str, Meta(min_length=1, max_length=200)]
VoiceName = Annotated[str, Meta(max_length=200)]
TaskName = Annotated[str, Meta(max_length=150)]
Text256 = Annotated[str, Meta(max_length=256)]
FormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SampleRate = Literal[8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000]
Money = str | int | float
MOST_SAMPLED = 2**31 - 1
"""A provider's own JSON may have no room for more."""


class FormatMap(msgspec.Struct, frozen=True):
    """`response_format` as a map."""

    type: FormatName
    sample_rate: SampleRate | None = None


class VoiceId(msgspec.Struct, frozen=True):
    """`voice` as OpenAI's custom voices are named."""

    id: Name


class InputTurn(msgspec.Struct, frozen=True):
    """`input` as a list."""

    text: str
    voice: VoiceName | None = None
    instructions: Annotated[str, Meta(max_length=4096)] | None = None


class ContextTurn(msgspec.Struct, frozen=True):
    """One earlier utterance of the conversation."""

    speaker: str | int
    text: str
    audio: str | None = None
    generation_id: str | None = None


class ProviderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`provider`: whom to ask, and under which conditions."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    sort: Policy | dict[str, Any] | None = None
    max_price: Money | dict[str, Money | None] | None = None
    max_latency_ms: Annotated[float, Meta(gt=0)] | None = None
    min_throughput: Annotated[float, Meta(gt=0)] | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    voices: dict[str, VoiceName] | None = None
    voice_switch: Literal["never", "mapped", "any"] | None = None
    hedge: bool | None = None
    options: dict[str, dict[str, Any]] | None = None
    # OpenRouter's, for text; speech can do without them.
    enforce_distillable_text: bool | None = None
    preferred_max_latency: float | dict[str, Any] | None = None
    preferred_min_throughput: float | dict[str, Any] | None = None
    quantizations: list[str] | None = None


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may say. A null is an absent field."""

    model: Name | None = None
    input: str | list[InputTurn]
    voice: VoiceName | VoiceId | None = None
    models: list[Name] | None = None
    response_format: FormatName | FormatMap | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] | None = None
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=MOST_SAMPLED)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=MOST_SAMPLED)] | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    task: TaskName | None = None
    context: list[ContextTurn] | None = None
    session_id: Text256 | None = None
    user: Text256 | None = None
    metadata: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=600_000)] | None = None
    cache: Literal["default", "bypass", "only"] | None = None
    provider: ProviderBody | None = None


# Fields that clients in use send to any OpenAI-compatible server; an offer can do without them.
TOLERATED = frozenset(
    {
        "backend",
        "cfg_weight",
        "download_format",
        "exaggeration",
        "extra_body",
        "input_references",
        "lang_code",
        "language",
        "normalization_options",
        "return_download_link",
        "sample_rate",
        "stream",
        "stream_options",
        "volume_multiplier",
    }
)

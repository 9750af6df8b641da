"""The speech body's shape: every field that a client may send, with its bounds (design.md 7)."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.routing import ranges
from gateway.routing.policies import Policy
from gateway.routing.preferences import Continuity, Partition, VoiceSwitch

Name = Annotated[str, Meta(min_length=1, max_length=200)]
VoiceName = Annotated[str, Meta(max_length=200)]
TaskName = Annotated[str, Meta(max_length=150)]
Text256 = Annotated[str, Meta(max_length=256)]
FormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SampleRate = Literal[8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000]
Money = str | int | float
Slugs = list[Annotated[str, Meta(max_length=200)]]
Above0 = Annotated[float, Meta(gt=0)]


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
    instructions: ranges.Instructions | None = None


class ContextTurn(msgspec.Struct, frozen=True):
    """One earlier utterance of the conversation."""

    speaker: Annotated[str, Meta(max_length=200)] | ranges.SpeakerNumber | None = None
    """Left out only with `generation_id`: then its voice."""
    text: str = ""
    audio: str | None = None
    """A WAV file in base64, or a data URL of one."""
    generation_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """An earlier generation of the same key."""


class SortMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`provider.sort` as a map."""

    by: Policy | None = None
    partition: Partition | None = None


class PercentileMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold for each percentile; all of them must hold."""

    p50: Above0 | None = None
    p75: Above0 | None = None
    p90: Above0 | None = None
    p95: Above0 | None = None
    p99: Above0 | None = None


class ProviderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`provider`: whom to ask, and under which conditions."""

    order: Slugs | None = None
    only: Slugs | None = None
    ignore: Slugs | None = None
    allow_fallbacks: bool | None = None
    sort: Policy | SortMap | None = None
    max_price: Money | dict[str, Money | None] | None = None
    max_latency_ms: Above0 | None = None
    """Median milliseconds to first audio."""
    min_throughput: Above0 | None = None
    """Median seconds of audio made in a second."""
    preferred_max_latency: Above0 | PercentileMap | None = None
    """The same in seconds, as OpenRouter has it."""
    preferred_min_throughput: Above0 | PercentileMap | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    voices: dict[str, VoiceName] | None = None
    voice_switch: VoiceSwitch | None = None
    hedge: bool | None = None
    continuity: Continuity | None = None
    options: dict[str, dict[str, Any]] | None = None
    # OpenRouter's, for text; speech can do without them.
    enforce_distillable_text: bool | None = None
    quantizations: list[str] | None = None


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may say. A null is an absent field."""

    model: Name | None = None
    input: str | list[InputTurn]
    voice: VoiceName | VoiceId | None = None
    models: list[Name] | None = None
    response_format: FormatName | FormatMap | None = None
    speed: ranges.Speed | None = None
    instructions: ranges.Instructions | None = None
    stream_format: Literal["audio", "sse"] | None = None
    seed: ranges.Seed | None = None
    temperature: ranges.Temperature | None = None
    top_k: ranges.TopK | None = None
    top_p: ranges.TopP | None = None
    min_p: ranges.MinP | None = None
    repetition_penalty: ranges.RepetitionPenalty | None = None
    max_tokens: ranges.MaxTokens | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    task: TaskName | None = None
    context: list[ContextTurn] | None = None
    session_id: Text256 | None = None
    user: Text256 | None = None
    metadata: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None
    deadline_ms: ranges.DeadlineMs | None = None
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

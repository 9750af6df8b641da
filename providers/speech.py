"""Speech: what is to be said and how, as wires receive it; Receipt: what a wire learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a sampling model draws; None leaves a field to the provider. Ranges as OpenRouter's."""

    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None

    def chosen(self) -> dict[str, float]:
        """Only the fields that were asked for."""
        return {
            name: value
            for name in self.__slots__
            if (value := getattr(self, name)) is not None  # slots and fields are the same names
        }


@dataclass(frozen=True, slots=True)
class Made:
    """What a provider has made before, under its own name for it."""

    provider: str
    """The row's name; to another one the id says nothing."""
    upstream_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier utterance of the conversation."""

    speaker: str
    text: str
    audio: bytes | None = None
    """A WAV file of it, where it is at hand."""
    made: Made | None = None
    """Who spoke it for us, where somebody did; he may have kept more of it than its sound."""


@dataclass(frozen=True, slots=True)
class Speech:
    """One thing to say, already in the terms of one offer: its own voice and format names."""

    text: str
    voice: str
    format: str
    """Our name of the format wanted from the provider: mp3, opus, aac, flac, wav or pcm."""
    sample_rate: int | None = None
    """Hz, when the caller asked for one."""
    speed: float | None = None
    instructions: str | None = None
    sampling: Sampling = field(default=Sampling())
    context: tuple[Turn, ...] = ()
    """What was said before, oldest first; it is not said again."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Extra body fields meant for this provider alone (`provider.options.<name>`)."""
    traceparent: str | None = None
    """W3C trace context handed on with the request."""
    caller: str | None = None
    """Whose request it is, opaque and always the same, for a server that shares itself fairly."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a wire learned beside the audio: yielded before it (the head) or after it (the bill)."""

    upstream_id: str | None = None
    sample_rate: int | None = None
    """Hz, when the answer itself names it; otherwise the offer's."""
    billed_units: int | None = None
    """What the provider says that it bills, in the unit of its price or in credits, if it says."""
    billed_nano: int | None = None
    """The same in money, nano-USD."""
    billed_malformed: bool = False
    """Whether it said so in a way that cannot be read, which counts as not said."""
    length_told: bool = False
    """Whether the answer said beforehand how long its body is, so that it cannot end too early."""
    limits: tuple[tuple[str, str], ...] = ()
    """What it says of its rate limits: header names, in lower case, and values."""

"""Ranges: what a field of a speech may be, in a client's body as in a task."""

from typing import Annotated

from msgspec import Meta

MOST_SAMPLED = 2**31 - 1
"""A provider's own JSON may have no room for more."""

Speed = Annotated[float, Meta(ge=0.25, le=4.0)]
Instructions = Annotated[str, Meta(max_length=4096)]
DeadlineMs = Annotated[int, Meta(ge=1, le=600_000)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TopK = Annotated[int, Meta(ge=0, le=MOST_SAMPLED)]
TopP = Annotated[float, Meta(gt=0, le=1)]
MinP = Annotated[float, Meta(ge=0, le=1)]
RepetitionPenalty = Annotated[float, Meta(gt=0, le=2)]
MaxTokens = Annotated[int, Meta(ge=1, le=MOST_SAMPLED)]
SpeakerNumber = Annotated[int, Meta(ge=0, le=MOST_SAMPLED)]

"""A job: one planned request, as the supervisor receives it; and the tools that it works with."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import providers
from gateway.audio.formats import Sound
from gateway.dispatch.admission import Admission
from gateway.kept.clips import Clips
from gateway.metering.journal import Journal
from gateway.metering.operations import Claim, KeptText, Opening
from gateway.metering.writer import Writer
from gateway.metrics.instruments import Metrics
from gateway.routing.allowance import Allowance
from gateway.routing.plan import Plan
from gateway.routing.standings import Standings
from gateway.settings import Deadlines, Load
from gateway.tracing import Trace


@dataclass(frozen=True, slots=True)
class Job:
    """Everything one request needs until it is settled. Times are monotonic seconds."""

    opening: Opening
    plan: Plan
    speech: providers.Speech
    target: Sound
    """The audio that the client wants."""
    options: Mapping[str, Mapping[str, object]]
    """Extra body fields for one provider, by its name."""
    catalog: providers.Catalog
    """As it was when the plan was made."""
    trace: Trace
    began: float
    planned: float
    first_audio_by: float
    ends_by: float
    cheaper: "Job | None" = None
    """The same request as its task's downgrade rule has it, for when a soft threshold is passed."""
    is_downgraded: bool = False
    claim: Claim | None = None
    """Its Idempotency-Key. What is spoken under one is kept, and carried on to its end."""
    keep_text_ms: int = 0
    """How long its text is kept; 0: not."""
    keep_audio_ms: int = 0
    """How long its audio is kept once it is whole; 0: not, but for its Idempotency-Key."""
    project: str | None = None
    """On whose word that is, which may shorten it."""
    hedge: bool | None = None
    """Whether another offer may be asked, too, when the first is late; None: as the offer says."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The text as it is said, call by call."""
        return self.plan.parts

    @property
    def kept_text(self) -> KeptText | None:
        """Its text, where it is kept."""
        return KeptText(self.speech.text, self.keep_text_ms) if self.keep_text_ms else None

    @property
    def in_sentences(self) -> bool:
        """Whether another offer can go on where one breaks."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True)
class Tools:
    """What every request shares."""

    client: providers.Client
    speak: providers.Wire
    """The providers' door."""
    writer: Writer
    journal: Journal
    standings: Standings
    retries: Allowance
    hedges: Allowance
    admission: Admission
    deadlines: Deadlines
    load: Load
    codecs: Executor
    """Threads for encoding and decoding."""
    kept: Clips
    metrics: Metrics

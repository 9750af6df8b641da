"""Operations of a request: held, extended, ended, or refused and only recorded."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["settled", "voided"]
Outcome = Literal["done", "failed", "abandoned"]
Flag = Literal[
    "over_hold",
    "drift",
    "late",
    "recovered",
    "unpriced",
    "malformed_bill",
    "downgraded",
    "capped",
    "hedged",
    "resumed",
    "cut",
]
"""What is remarkable about a generation; `cut`: its clip broke after audio had gone out."""
Kind = Literal["first", "repeat", "credential", "fallback", "hedge", "resume"]
"""Why an attempt is made: it is the first, the same again, the same with another credential,
another offer, another offer beside the one that is late, another for the rest of a broken clip."""
ELSEWHERE: frozenset[Kind] = frozenset({"fallback", "resume"})
"""Those that somebody else was asked in because of a failure: what `fallbacks` counts."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One attempt about to be made; it is in the ledger before the provider hears of it."""

    seq: int
    provider: str
    model: str
    voice: str
    started_ms: int
    nano: int | None
    """The most it can cost; None when its price is not known."""
    price: str | None = None
    """The version of the price that it is made at."""
    kind: Kind = "first"
    credential: str | None = None
    """The name of the variable that holds the key it is made with."""
    from_character: int = 0
    """Where in the text it begins."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a generation before it is dispatched; the columns of its row."""

    id: str
    request_id: str
    trace_id: str
    key_hash: str
    created_ms: int
    requested_model: str
    format: str
    streamed: bool
    characters: int
    plan: str
    task: str | None = None
    user: str | None = None
    session_id: str | None = None
    app: str | None = None
    referer: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How one attempt ended; the columns that its intent left open."""

    seq: int
    outcome: Outcome
    liability_nano: int
    latency_ms: int
    first_audio_ms: int | None = None
    http_status: int | None = None
    error_type: str | None = None
    upstream_id: str | None = None
    billed_units: int | None = None
    audio_ms: int = 0
    """How much of its audio the client was given."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What became of a generation; the columns that its opening left open."""

    status: Status
    http_status: int
    duration_ms: int
    error_type: str | None = None
    model: str | None = None
    provider: str | None = None
    voice: str | None = None
    upstream_id: str | None = None
    cost_nano: int = 0
    charged_characters: int = 0
    audio_ms: int = 0
    first_audio_ms: int | None = None
    cancelled: bool = False
    attempts: tuple[AttemptResult, ...] = ()
    flags: tuple[Flag, ...] = ()
    timings: str | None = None
    """JSON of its measured steps."""


@dataclass(frozen=True, slots=True)
class KeptText:
    """A request's text, which its project wants kept for a while."""

    text: str
    lifetime_ms: int


@dataclass(frozen=True, slots=True)
class Claim:
    """An Idempotency-Key and what it stands for."""

    token: str
    fingerprint: str
    lifetime_ms: int
    """How long it is remembered."""

    def id(self, key_hash: str) -> str:
        """What it is unique by: each API key has Idempotency-Keys of its own."""
        return f"{key_hash}:{self.token}"


@dataclass(frozen=True, slots=True)
class Hold:
    """Set characters and money aside, and write down the first attempt's intent."""

    opening: Opening
    nano: int
    intent: Intent
    claim: Claim | None = None
    may_downgrade: bool = False
    """Refuse with SoftLimit rather than pass a soft threshold: there is a cheaper plan."""
    downgrade_at: int | None = None
    """And rather than use more than so many thousandths of any budget."""
    text: KeptText | None = None


@dataclass(frozen=True, slots=True)
class Extend:
    """Write down a further attempt's intent, and hold what it may cost beyond the hold."""

    generation_id: str
    more_nano: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class Resolve:
    """Settle or void a hold. Carried out once; a repeat changes nothing."""

    generation_id: str
    closing: Closing


@dataclass(frozen=True, slots=True)
class Record:
    """Write down a request that was refused before anything was held."""

    opening: Opening
    closing: Closing
    text: KeptText | None = None


Request = Hold | Extend | Resolve | Record

"""What can be asked of the ledger: values, each carried out inside one transaction."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["settled", "voided"]
Outcome = Literal["done", "failed", "abandoned"]


@dataclass(frozen=True, slots=True)
class Intent:
    """One attempt about to be made; it is in the ledger before the provider hears of it."""

    seq: int
    provider: str
    model: str
    voice: str
    started_ms: int
    nano: int
    """The most it can cost."""


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


@dataclass(frozen=True, slots=True)
class Hold:
    """Set characters and money aside, and write down the first attempt's intent."""

    opening: Opening
    nano: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class Extend:
    """Write down a further attempt's intent, and hold what it may cost beyond the hold."""

    generation_id: str
    key_hash: str
    more_nano: int
    intent: Intent


@dataclass(frozen=True, slots=True)
class Resolve:
    """Settle or void a hold. Carried out once; a repeat changes nothing."""

    generation_id: str
    key_hash: str
    ended_ms: int
    closing: Closing


@dataclass(frozen=True, slots=True)
class Record:
    """Write down a request that was refused before anything was held."""

    opening: Opening
    closing: Closing


@dataclass(frozen=True, slots=True)
class CreateKey:
    """A new key with its balance; the columns of its row."""

    hash: str
    name: str
    label: str
    scopes: str
    created_ms: int
    expires_ms: int | None = None
    limit_nano: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """A key's new name, state and limit, all of them."""

    key_hash: str
    name: str
    disabled: bool
    updated_ms: int
    limit_nano: int | None


Operation = Hold | Extend | Resolve | Record | CreateKey | ChangeKey

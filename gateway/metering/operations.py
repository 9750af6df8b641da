"""What can be asked of the ledger: values, each carried out inside one transaction."""

from dataclasses import dataclass
from typing import Literal

from gateway.metering.scopes import Period

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


@dataclass(frozen=True, slots=True)
class Lose:
    """The holds of a dead gateway: money stays counted, characters are not charged."""

    generation_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """End what stayed unknown by the operator's rule: keep the money, or give it back."""

    generation_ids: tuple[str, ...]
    keep: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """This gateway lives. The first beat makes its row."""

    instance: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Gateways that hold nothing any more: their rows go."""

    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a scope may use in each period; None: no limit. Money in nano-USD."""

    scope: str
    period: Period
    limit_nano: int | None = None
    soft_nano: int | None = None
    limit_characters: int | None = None
    soft_characters: int | None = None
    limit_requests: int | None = None
    limit_streams: int | None = None

    @property
    def limits(self) -> bool:
        """Whether it limits anything at all; one that does not still keeps its count."""
        return self != Budget(self.scope, self.period)


@dataclass(frozen=True, slots=True)
class SetBudgets:
    """New budgets, all or none; of one scope each, replacing what that period had."""

    budgets: tuple[Budget, ...]
    actor: str


@dataclass(frozen=True, slots=True)
class CreateKey:
    """A new key with its first secret and its budgets; the columns of its row."""

    hash: str
    secret: str
    """The secret's keyed hash."""
    name: str
    label: str
    scopes: str
    created_ms: int
    expires_ms: int | None = None
    project: str = "default"
    allowed: str | None = None
    default_task: str | None = None
    budgets: tuple[Budget, ...] = ()
    actor: str = "operator"
    disabled: bool = False
    limit_period: Period = "total"
    """Whose budget is the key's own limit."""
    unless: Literal["known", "managed"] | None = None
    """Make no key where its secret is known, or where any key manages: of gateways that start
    together, one makes it."""


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """A key's new values, all of them, and the budgets that change with it."""

    key_hash: str
    name: str
    disabled: bool
    updated_ms: int
    expires_ms: int | None = None
    scopes: str = "speak"
    allowed: str | None = None
    default_task: str | None = None
    budgets: tuple[Budget, ...] = ()
    actor: str = "operator"
    project: str = "default"
    limit_period: Period = "total"
    seen_ms: int | None = None
    """The `updated_ms` (0: never) that these values were made from; refused if it has moved on."""


@dataclass(frozen=True, slots=True)
class RotateKey:
    """A key's new secret; the older ones run out after `grace_ms`."""

    key_hash: str
    secret: str
    """The secret's keyed hash."""
    label: str
    grace_ms: int
    actor: str = "operator"


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """A key that nobody may use or find again; its books stay."""

    key_hash: str
    actor: str = "operator"


@dataclass(frozen=True, slots=True)
class CreateOrganisation:
    """A new organisation; `id` is a short name, as in its scope."""

    id: str
    name: str
    actor: str = "operator"


@dataclass(frozen=True, slots=True)
class CreateProject:
    """A new project of an organisation."""

    id: str
    organisation: str
    name: str
    actor: str = "operator"
    keep_text_hours: int = 0
    keep_audio_hours: int = 0


@dataclass(frozen=True, slots=True)
class ChangeProject:
    """A project's new values; None: as it is.

    What is kept already goes earlier where the new time is shorter, at the next sweep; a longer one
    is for requests to come.
    """

    id: str
    name: str | None = None
    keep_text_hours: int | None = None
    keep_audio_hours: int | None = None
    actor: str = "operator"


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the text that is kept of a request; its record stays."""

    generation_id: str
    actor: str = "operator"


@dataclass(frozen=True, slots=True)
class ExpireTexts:
    """Delete kept texts whose time is over, some hundreds at most; False: there was none."""


@dataclass(frozen=True, slots=True)
class ShortenTexts:
    """Keep texts for less time than they were to be kept."""

    ends: tuple[tuple[str, int], ...]
    """Generation ids, each with the epoch ms until which its text is kept."""


@dataclass(frozen=True, slots=True)
class SeenPrice:
    """An offer's price as the catalogue has it."""

    version: str
    offer: str
    terms: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class SeePrices:
    """Write down the prices that the price book does not have yet."""

    prices: tuple[SeenPrice, ...]


Request = Hold | Extend | Resolve | Record
Recovery = Lose | Judge | Beat | Leave
Administration = (
    SetBudgets
    | CreateKey
    | ChangeKey
    | RotateKey
    | DeleteKey
    | CreateOrganisation
    | CreateProject
    | ChangeProject
    | Forget
)
Operation = Request | Recovery | Administration | SeePrices | ExpireTexts | ShortenTexts

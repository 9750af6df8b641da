"""Operations that people ask for: keys, budgets, projects; each is audited."""

from dataclasses import dataclass
from typing import Literal

from gateway.metering.scopes import Period


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

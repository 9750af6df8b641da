"""Rows: what a batch has read, and locked, of keys, generations, attempts and claims."""

from dataclasses import dataclass
from functools import lru_cache

from gateway.metering.scopes import GLOBAL, organisation_scope, project_scope, scope_of


@dataclass(frozen=True, slots=True)
class Key:
    """A key's row as a hold needs it."""

    hash: str
    project: str
    disabled: bool
    expires_ms: int | None
    deleted_ms: int | None
    organisation: str

    @property
    def scopes(self) -> tuple[str, ...]:
        """On whom its requests count, beside their providers."""
        return _scopes(self.hash, self.project, self.organisation)


@dataclass(slots=True)
class Generation:
    """An open generation's row; `status` and the sums move while the batch works on it."""

    id: str
    key_hash: str
    project: str
    status: str
    at_ms: int
    characters: int
    app: str | None
    task: str | None
    hold_nano: int
    hold_characters: int
    cost_nano: int
    charged_characters: int
    liability_nano: int
    model: str | None
    provider: str | None
    audio_ms: int
    error_type: str | None
    fallbacks: int
    cache_hit: bool
    flags: str | None
    organisation: str

    @property
    def scopes(self) -> tuple[str, ...]:
        return _scopes(self.key_hash, self.project, self.organisation)


@dataclass(slots=True)
class Attempt:
    """An attempt's row, as resolving needs it."""

    generation_id: str
    seq: int
    provider: str
    outcome: str
    bound_nano: int | None
    liability_nano: int
    kind: str


@dataclass(slots=True)
class Claimed:
    """Whose request an Idempotency-Key stands for."""

    id: str
    generation_id: str
    fingerprint: str
    created_ms: int
    status: str = "held"


@lru_cache(maxsize=4096)
def _scopes(key_hash: str, project: str, organisation: str) -> tuple[str, ...]:
    return (
        scope_of(key_hash),
        project_scope(project),
        organisation_scope(organisation),
        GLOBAL,
    )

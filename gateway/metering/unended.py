"""Requests that have not ended, told by their attempts: one index has these and no others."""

from typing import Literal

from sqlalchemy import Select, literal_column, select, text

from gateway.tables import attempt
from gateway.tables.generations import OPEN

Unended = Literal["held", "unknown"]
_ATTEMPTS: dict[Unended, str] = {"held": "'intent'", "unknown": "'unknown'"}


def unended(status: Unended | None = None) -> Select[tuple[str]]:
    """Ids of the generations of this status; None: of either."""
    ids = select(attempt.c.generation_id).where(text(OPEN))
    if status is None:
        return ids
    return ids.where(attempt.c.outcome == literal_column(_ATTEMPTS[status]))

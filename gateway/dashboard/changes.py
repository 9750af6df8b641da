"""Changes as pages show them: who did what to whom, by name where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.dashboard.differences import Difference, differences
from gateway.metering import register
from gateway.metering.register import KeyName


@dataclass(frozen=True, slots=True)
class Party:
    """Who acted, or what was changed."""

    id: str
    """As audit has it, and as it is filtered by."""
    kind: str
    name: str
    key_hash: str | None
    """Where the key is to be seen; None for what is no key, or a key that is gone."""


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One row of audit."""

    id: int
    at_ms: int
    action: str
    actor: Party
    subject: Party
    differences: Sequence[Difference]


async def change_lines(
    connection: AsyncConnection,
    subject: str | None,
    before_id: int | None,
    limit: int,
    actor: str | None = None,
) -> list[ChangeLine]:
    """Rows of audit, newest first, with the names of their keys."""
    rows = await register.changes(connection, subject, before_id, limit, actor)
    hashes = {row["actor"] for row in rows} | {_name_of(row["subject"]) for row in rows}
    names = await register.key_names(connection, hashes)
    return [_line(row, names) for row in rows]


def _line(row: RowMapping, names: Mapping[str, KeyName]) -> ChangeLine:
    kind, actor = row["subject"].partition(":")[0], row["actor"]
    by = Party(actor, "key" if actor in names else "", *_named(actor, names))
    of = Party(row["subject"], kind, *_named(_name_of(row["subject"]), names))
    told = differences(row["before"], row["after"])
    return ChangeLine(row["id"], row["at_ms"], row["action"], by, of, told)


def _name_of(subject: str) -> str:
    return subject.partition(":")[2] or subject


def _named(id_: str, names: Mapping[str, KeyName]) -> tuple[str, str | None]:
    """What it is called, and the key's page where it has one."""
    if (key := names.get(id_)) is None:
        return id_, None
    return key.name, None if key.is_deleted else id_

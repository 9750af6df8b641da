"""Rollups: use by hour and day, moved in the transaction that ends a request, and rebuilt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from gateway.metering.scopes import DAY_MS, HOUR_MS
from gateway.tables import rollup

WIDTHS = (("hour", HOUR_MS), ("day", DAY_MS))
Names = tuple[str, str, str, str, str]
"""Key, model, provider, app and task; empty where there is none."""


class Rollups:
    """What a batch adds to the rollups."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], list[int]] = {}

    def add(self, at_ms: int, names: Names, use: Sequence[int], sign: int = 1) -> None:
        for width, ms in WIDTHS:
            sums = self._sums.setdefault((width, at_ms - at_ms % ms, *names), [0] * len(use))
            for place, value in enumerate(use):
                sums[place] += sign * value

    def rows(self) -> list[tuple[Any, ...]]:
        """In the key's order, so that two batches never wait for each other in a ring."""
        return [(*names, *sums) for names, sums in sorted(self._sums.items()) if any(sums)]

    def lessened(self) -> list[tuple[Any, ...]]:
        """Keys of rows that lost requests to others, and the number at which such a row goes."""
        return [(*names, 0) for names, sums in sorted(self._sums.items()) if sums[0] < 0]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found."""

    rows: int
    differed: int
    """How many rows were wrong, missing or too many before."""


def rebuild(connection: Connection) -> Rebuilt:
    """Make every rollup anew from the generations, in the caller's transaction.

    On SQLite that must be one of `open_writing`, which excludes every other writer; PostgreSQL's
    writers wait before the last thing that they do, and lose nothing.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL enable_seqscan = on"))
        connection.execute(text("LOCK TABLE rollup IN EXCLUSIVE MODE"))
    connection.execute(text("CREATE TEMPORARY TABLE fresh AS SELECT * FROM rollup WHERE 1 = 0"))
    connection.execute(text(_HOURS))
    connection.execute(text(_DAYS))
    differed = int(connection.execute(text(_DIFFERED)).scalar_one())
    if differed:
        connection.execute(text("DELETE FROM rollup"))
        connection.execute(text(f"INSERT INTO rollup ({_ALL}) SELECT {_ALL} FROM fresh"))  # noqa: S608  # our own names
    rows = int(connection.execute(text("SELECT count(*) FROM fresh")).scalar_one())
    connection.execute(text("DROP TABLE fresh"))
    return Rebuilt(rows, differed)


_ALL = ", ".join(rollup.c.keys())
_KEYS = ", ".join(rollup.primary_key.columns.keys())
_HOURS = f"""
INSERT INTO fresh ({_ALL})
SELECT 'hour', at_ms - at_ms % {HOUR_MS}, key_hash,
  coalesce(model, ''), coalesce(provider, ''), coalesce(app, ''), coalesce(task, ''),
  count(*), sum(charged_characters), sum(cost_nano), sum(liability_nano), sum(audio_ms),
  sum(CASE WHEN error_type IS NULL THEN 0 ELSE 1 END), sum(fallbacks),
  sum(CASE WHEN cache_hit THEN 1 ELSE 0 END)
FROM generation WHERE status <> 'held'
GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608  # our own names and numbers
_DAYS = f"""
INSERT INTO fresh ({_ALL})
SELECT 'day', start_ms - start_ms % {DAY_MS}, key_hash, model, provider, app, task,
  sum(requests), sum(characters), sum(cost_nano), sum(liability_nano), sum(audio_ms),
  sum(errors), sum(fallbacks), sum(cache_hits)
FROM fresh
GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608  # our own names and numbers
# SQLite takes no parentheses around the sides of EXCEPT, so each is a query of its own.
_DIFFERED = f"""
SELECT count(*) FROM (
  SELECT {_KEYS} FROM (SELECT {_ALL} FROM rollup EXCEPT SELECT {_ALL} FROM fresh) AS wrong
  UNION
  SELECT {_KEYS} FROM (SELECT {_ALL} FROM fresh EXCEPT SELECT {_ALL} FROM rollup) AS missing
) AS differing"""  # noqa: S608  # our own names

"""Rollups: use by hour and day, moved in the transaction that ends a request, and rebuilt."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from gateway.metering.scopes import DAY_MS, HOUR_MS

WIDTHS = (("hour", HOUR_MS), ("day", DAY_MS))
Names = tuple[str, str, str, str]
"""Key, model, provider and app; empty where there is none."""


class Rollups:
    """What a batch adds to the rollups."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], list[int]] = {}
        self._withdrawn: set[tuple[Any, ...]] = set()

    def add(self, at_ms: int, names: Names, use: Sequence[int], sign: int = 1) -> None:
        for width, ms in WIDTHS:
            where = (width, at_ms - at_ms % ms, *names)
            sums = self._sums.setdefault(where, [0] * len(use))
            if sign < 0:
                self._withdrawn.add(where)
            for place, value in enumerate(use):
                sums[place] += sign * value

    def rows(self) -> list[tuple[Any, ...]]:
        """In the key's order, so that two batches never wait for each other in a ring."""
        return [(*names, *sums) for names, sums in sorted(self._sums.items()) if any(sums)]

    def emptied(self) -> list[tuple[Any, ...]]:
        """Rows that may count nothing now: their names, and how many requests that is."""
        return [(*names, 0) for names in sorted(self._withdrawn)]


def rebuild(connection: Connection) -> int:
    """Make every rollup anew from the generations; gives how many there are."""
    connection.execute(text("DELETE FROM rollup"))
    for width, ms in WIDTHS:
        connection.execute(text(_REBUILD), {"width": width, "ms": ms})
    return int(connection.execute(text("SELECT count(*) FROM rollup")).scalar_one())


_REBUILD = """
INSERT INTO rollup
SELECT :width, at_ms - at_ms % :ms, key_hash,
  coalesce(model, ''), coalesce(provider, ''), coalesce(app, ''),
  count(*), sum(charged_characters), sum(cost_nano), sum(liability_nano), sum(audio_ms),
  sum(CASE WHEN error_type IS NULL THEN 0 ELSE 1 END), sum(fallbacks),
  sum(CASE WHEN cache_hit THEN 1 ELSE 0 END)
FROM generation WHERE status <> 'held'
GROUP BY 1, 2, 3, 4, 5, 6"""

"""Scopes and periods: on whose account something is counted, and for how long. All UTC."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, get_args

Period = Literal["minute", "hour", "day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = get_args(Period)
GLOBAL = "global"
KINDS = ("organisation", "project", "key", "provider")

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
_FIXED = {"minute": MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}
_WEEK_MS = 7 * DAY_MS
_FIRST_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


def scope_of(key_hash: str) -> str:
    return f"key:{key_hash}"


def project_scope(project: str) -> str:
    return f"project:{project}"


def organisation_scope(organisation: str) -> str:
    return f"organisation:{organisation}"


def provider_scope(provider: str) -> str:
    return f"provider:{provider}"


def is_liability(scope: str) -> bool:
    """Whether a scope's money is what we may owe providers; elsewhere it is what keys pay."""
    return scope == GLOBAL or scope.startswith("provider:")


def period_start(period: Period, at_ms: int) -> int:
    """Epoch ms at which the period that holds `at_ms` began; weeks begin on Monday."""
    if width := _FIXED.get(period):
        return at_ms - at_ms % width
    if period == "week":
        return at_ms - (at_ms - _FIRST_MONDAY_MS) % _WEEK_MS
    return _month(at_ms // DAY_MS)[0] if period == "month" else 0


def period_end(period: Period, start_ms: int) -> int | None:
    """Epoch ms at which the next one begins; None: never."""
    if width := _FIXED.get(period):
        return start_ms + width
    if period == "week":
        return start_ms + _WEEK_MS
    return _month(start_ms // DAY_MS)[1] if period == "month" else None


def balance_id(scope: str, period: Period, start_ms: int) -> str:
    return f"{scope}|{period}|{start_ms}"


@lru_cache(maxsize=64)
def _month(day: int) -> tuple[int, int]:
    first = datetime.fromtimestamp(day * 86_400, UTC).replace(day=1)
    then = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()) * 1000, int(then.timestamp()) * 1000

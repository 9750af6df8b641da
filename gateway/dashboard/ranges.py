"""Ranges: which time a page tells of, in which steps, as its address says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from gateway.endpoints.usage import iso, moment, window_of
from gateway.errors import InvalidRequest
from gateway.metering.scopes import DAY_MS, HOUR_MS, period_end, period_start
from gateway.metering.usage import Bucket, Window

RANGES: Mapping[str, str] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "month": "This month",
}
CUSTOM = "custom"
USUAL = "7d"
MOST_POINTS = 400
"""Sixteen days of hours, or a year of days: more cannot be told apart."""
_DAYS = {"7d": 7, "30d": 30, "90d": 90}
_FINEST_HOURS, _FINEST_DAYS = 3 * DAY_MS, 120 * DAY_MS
_WIDTHS: Mapping[Bucket, int] = {"hour": HOUR_MS, "day": DAY_MS, "month": 28 * DAY_MS}
_DATE = len("2026-11-22")
Sees = tuple[str | None, str | None]
"""Of which key and which project; None: of all."""


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time in steps."""

    name: str
    window: Window
    bucket: Bucket

    @property
    def starts(self) -> list[int]:
        """Where each step begins, in epoch ms, whether anything was used in it or not."""
        at, found = period_start(self.bucket, self.window.start_ms), []
        while at < self.window.end_ms:
            found.append(at)
            at = period_end(self.bucket, at) or self.window.end_ms
        return found

    @property
    def buckets(self) -> list[Bucket]:
        """The steps in which it may be told."""
        return [each for each in _WIDTHS if _points(self.window, each) <= MOST_POINTS]

    @property
    def first_day(self) -> str:
        return iso(self.window.start_ms)[:_DATE]

    @property
    def last_day(self) -> str:
        return iso(max(self.window.end_ms - 1, self.window.start_ms))[:_DATE]


def range_of(query: Mapping[str, str], sees: Sees, now_ms: int) -> Range:
    """The range that an address asks for; one that is absurd is refused in a sentence."""
    is_dated = query.get("from") or query.get("to")
    name = CUSTOM if is_dated else query.get("range") or USUAL
    if not is_dated and name not in RANGES:
        raise InvalidRequest(f"there is no range {name[:20]!r}; there are {', '.join(RANGES)}")
    if name == CUSTOM:
        window = _between(query.get("from") or None, query.get("to") or None, sees)
    else:
        window = Window(_begin(name, now_ms), now_ms - now_ms % HOUR_MS + HOUR_MS, *sees)
    return Range(name, window, _bucket_of(query.get("bucket") or None, window))


def _begin(name: str, now_ms: int) -> int:
    """Whole hours of a day, or whole UTC days, of which the running one is the last."""
    if name == "24h":
        return now_ms - now_ms % HOUR_MS - 23 * HOUR_MS
    if name == "month":
        return period_start("month", now_ms)
    return now_ms - now_ms % DAY_MS - (_DAYS[name] - 1) * DAY_MS


def _between(start: str | None, to: str | None, sees: Sees) -> Window:
    """A last day that is given as a date counts whole."""
    last_ms = moment(to, "to")
    if to is not None and last_ms is not None and len(to) == _DATE:
        to = iso(last_ms + DAY_MS - 1)
    first_ms = moment(start, "from")
    if first_ms is not None and last_ms is not None and last_ms < first_ms:
        raise InvalidRequest("it ends before it begins")
    window = window_of(start, to, *sees)
    if window.start_ms >= window.end_ms:
        raise InvalidRequest("there is no whole hour in it")
    return window


def _bucket_of(given: str | None, window: Window) -> Bucket:
    """The asked width of a step, or the finest one that still reads well."""
    span = window.end_ms - window.start_ms
    finest: Bucket = "day" if span <= _FINEST_DAYS else "month"
    chosen: Bucket = "hour" if span < _FINEST_HOURS else finest
    for known in get_args(Bucket):
        chosen = known if known == given else chosen
    if given is not None and given != chosen:
        raise InvalidRequest(f"there is no step {given[:20]!r}; there are hour, day and month")
    if (points := _points(window, chosen)) > MOST_POINTS:
        told = f"that is some {points:,} {chosen}s, and at most {MOST_POINTS} can be shown"
        raise InvalidRequest(f"{told}; choose a shorter time or a wider step")
    return chosen


def _points(window: Window, bucket: Bucket) -> int:
    return -(-(window.end_ms - window.start_ms) // _WIDTHS[bucket])

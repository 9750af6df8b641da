"""A waterfall: what a request did when, as bars on one axis of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

Timings = Mapping[str, Any]
ROW, LEFT, WIDTH, RIGHT = 28, 190, 640, 90
"""Pixels: a bar's row, the names before it, its axis, and the length told behind it."""
_MOST_TICKS = 8
_OUTCOMES = {"done": "good", "failed": "bad", "intent": "warn", "unknown": "warn"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One step, in milliseconds from the request's beginning."""

    name: str
    start: float
    end: float | None
    """None: it is a moment."""
    first_audio: float | None = None
    told: str = ""
    """How it ended, and by whom it was done."""
    mood: str = "step"
    """good bad warn soft step mark"""

    @property
    def took(self) -> float | None:
        return None if self.end is None else max(0.0, self.end - self.start)

    @property
    def until(self) -> float:
        return self.start if self.end is None else self.end


@dataclass(frozen=True, slots=True)
class Drawn:
    """A bar with its place; pixels."""

    bar: Bar
    y: int
    x: float
    width: float
    heard_x: float | None
    """Where its first audio came."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole waterfall, ready for its template."""

    bars: Sequence[Drawn]
    ticks: Sequence[tuple[float, float]]
    """Each with its milliseconds and its place."""
    width: int
    height: int
    left: int = LEFT


def bars_of(row: RowMapping, attempts: Sequence[RowMapping], timings: Timings | None) -> list[Bar]:
    """The steps in their order: as they were measured, or else as the record lets them be told."""
    measured = timings or {}
    bars = [_step(name, measured) for name in ("plan", "queue", "hold") if name in measured]
    spans = measured.get("attempts", ())
    for number, attempt in enumerate(attempts):
        span = spans[number] if number < len(spans) else _span(row, attempt)
        bars.append(_attempt(attempt, span))
    first = measured.get("first_audio", row["first_audio_ms"])
    if first is not None:
        bars.append(Bar("first audio", first, None, told="left for the client", mood="mark"))
    last = measured.get("last_byte", row["duration_ms"])
    if last is not None:
        bars.append(Bar("last byte" if first is not None else "answer", last, None, mood="mark"))
    if "settle" in measured:
        began = "began to be written; how long it took stands in the trace"
        bars.append(Bar("settle", measured["settle"], None, told=began, mood="mark"))
    return bars


def draw(bars: Sequence[Bar]) -> Drawing:
    longest = max([1.0, *(bar.until for bar in bars)])
    scale = WIDTH / longest
    drawn = [
        Drawn(
            bar,
            y=ROW * number,
            x=round(LEFT + bar.start * scale, 1),
            width=round(max(2.0, (bar.took or 0.0) * scale), 1),
            heard_x=None if bar.first_audio is None else round(LEFT + bar.first_audio * scale, 1),
        )
        for number, bar in enumerate(bars)
    ]
    ticks = [(at, round(LEFT + at * scale, 1)) for at in _ticks(longest)]
    return Drawing(drawn, ticks, LEFT + WIDTH + RIGHT, ROW * len(bars) + 28)


def _step(name: str, measured: Timings) -> Bar:
    start, end = measured[name]
    return Bar(name, start, end)


def _attempt(attempt: RowMapping, span: Sequence[float | None]) -> Bar:
    start, first, end = span
    told = [attempt["outcome"], attempt["error_type"], attempt["http_status"]]
    told.append(f"with {attempt['credential']}" if attempt["credential"] else None)
    return Bar(
        f"{attempt['kind']}: {attempt['provider']}",
        start or 0.0,
        end,
        first,
        ", ".join(str(each) for each in told if each is not None),
        _OUTCOMES.get(attempt["outcome"], "soft"),
    )


def _span(row: RowMapping, attempt: RowMapping) -> tuple[float, float | None, float | None]:
    """By the gateway's clock, to the millisecond; its intent is written before it begins."""
    start = float(max(0, attempt["started_ms"] - row["created_ms"]))
    first, took = attempt["first_audio_ms"], attempt["latency_ms"]
    return (
        start,
        None if first is None else start + first,
        None if took is None else start + took,
    )


def _ticks(longest: float) -> list[float]:
    """Round moments from 0 on, few enough to be read."""
    step = 1.0
    while longest / step > _MOST_TICKS:
        step *= 2.5 if f"{step:.0f}".startswith("2") else 2.0
    return [each * step for each in range(int(longest / step) + 1)]

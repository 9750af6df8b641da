"""What a request was answered with, told from its record: the headers, and which are not kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping

from gateway.audio.formats import Format, Sound, content_type

NOT_KEPT = (
    "the last digit of Server-Timing, Date, Content-Length, Transfer-Encoding and Retry-After; of "
    "traceparent, the span; for an error, x-should-retry and the body"
)


def headers_of(
    row: RowMapping,
    attempts: Sequence[RowMapping],
    timings: Mapping[str, Any] | None,
    sound: Sound | None,
) -> list[tuple[str, str]]:
    """Names and values, put together from what the record keeps.

    sound: of the kept clip, if there is one; a sample rate is kept nowhere else.
    """
    always = [
        ("X-Generation-Id", row["id"]),
        ("X-Request-Id", row["request_id"]),
        ("traceparent", f"00-{row['trace_id']}-..."),
    ]
    if row["first_audio_ms"] is None:
        return [("Content-Type", "application/json"), *always]
    spoken = [
        ("Content-Type", _type(row, sound)),
        ("X-Provider", row["provider"] or ""),
        ("X-Model", row["model"] or ""),
        ("X-Voice", row["voice"] or ""),
        ("X-Attempts", str(_opener(attempts))),
        ("X-Cache", "hit" if row["cache_hit"] else "miss"),
    ]
    timing = _timing(timings)
    return [*spoken, *([("Server-Timing", timing)] if timing else []), *always]


def _type(row: RowMapping, sound: Sound | None) -> str:
    if row["streamed"]:
        return "text/event-stream"
    if sound is None and row["format"] == Format.PCM:
        return "audio/pcm (its rate is not kept)"
    return content_type(sound or Sound(Format(row["format"]), 0))


def _opener(attempts: Sequence[RowMapping]) -> int:
    """Which attempt had audio first: those that come later only go on from there."""
    heard = [each["seq"] for each in attempts if each["first_audio_ms"] is not None]
    return min(heard, default=len(attempts))


def _timing(timings: Mapping[str, Any] | None) -> str | None:
    """Server-Timing as it was sent, give or take a tenth of a millisecond."""
    if timings is None or "hold" not in timings or timings.get("first_audio") is None:
        return None
    hold_start, hold_end = timings["hold"]
    durations = {
        "plan": timings["plan"][1],
        "hold": hold_end - hold_start,
        "first-audio": timings["first_audio"] - hold_end,
    }
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in durations.items())

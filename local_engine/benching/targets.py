"""What the engine is to reach on one H100, beside what a run found."""

from collections.abc import Callable, Iterable

from local_engine.benching.options import REAL
from local_engine.benching.record import Level, Result, StepPoint, Target

_FROM_BATCH = 16
_PLACE = tuple[int, int]


def held_against(result: Result) -> list[Target]:
    """Say of each target whether it is met. Of another shape or device nothing is claimed."""
    model = result.model
    counts = model is not None and model.name == REAL and model.device == "cuda"
    return [
        _target(what, limit, find(result) if counts else None, at_most=at_most)
        for what, limit, at_most, find in _TARGETS
    ]


def _target(what: str, limit: float, found: float | None, *, at_most: bool) -> Target:
    told = f"{'at most' if at_most else 'at least'} {limit:g}"
    if found is None:
        return Target(what, told, None, "not measured")
    met = found <= limit if at_most else found >= limit
    return Target(what, told, found, "met" if met else "missed")


def _best(result: Result) -> list[StepPoint]:
    """Give the faster form of each batch and context."""
    found: dict[_PLACE, StepPoint] = {}
    for point in result.steps:
        place = point.batch, point.context
        if place not in found or point.step.mean < found[place].step.mean:
            found[place] = point
    return list(found.values())


def _one_stream(result: Result) -> float | None:
    return _highest(point.real_time_factor for point in _best(result) if point.batch == 1)


def _to_the_floor(result: Result) -> float | None:
    return _highest(
        point.step.mean / point.floor_ms
        for point in _best(result)
        if point.floor_ms and point.batch >= _FROM_BATCH
    )


def _to_transformers(result: Result) -> float | None:
    """The most that the engine makes in a second, to the most that any form of generate does."""
    ours = _highest(point.audio_seconds_per_second for point in result.steps)
    theirs = _highest(one.audio_seconds_per_second for one in result.baseline if one.batch > 1)
    return ours / theirs if ours and theirs else None


def _level(result: Result, clients: int) -> Level | None:
    levels = result.server.levels if result.server else []
    return next((level for level in levels if level.clients == clients and level.clips), None)


def _first_audio(clients: int) -> Callable[[Result], float | None]:
    def found(result: Result) -> float | None:
        level = _level(result, clients)
        return level.first_audio.p95 if level and level.first_audio else None

    return found


def _broken(result: Result) -> float | None:
    level = _level(result, 512)
    return float(level.under_runs + level.failed) if level else None


def _cancel(result: Result) -> float | None:
    server = result.server
    enough = server is not None and server.cancel_streams >= 256  # noqa: PLR2004 - the target's own
    return server.cancel.p95 if server and server.cancel and enough else None


def _start(result: Result) -> float | None:
    return result.server.start_seconds if result.server else None


def _highest(values: Iterable[float]) -> float | None:
    return max(values, default=None)


_TARGETS: tuple[tuple[str, float, bool, Callable[[Result], float | None]], ...] = (
    ("one stream: RTF at its longest context", 0.10, True, _one_stream),
    ("512 streams: under-runs and failed clips", 0, True, _broken),
    ("first audio at 64 streams: p95, ms", 60, True, _first_audio(64)),
    ("first audio at 512 streams: p95, ms", 200, True, _first_audio(512)),
    ("from batch 16 up: step to its floor, at worst", 2, True, _to_the_floor),
    ("audio per second to transformers' batched generate", 20, False, _to_transformers),
    ("cancel at 256 streams: p95, ms", 100, True, _cancel),
    ("start to ready, s", 60, True, _start),
)

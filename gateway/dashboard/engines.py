"""Engines at a glance: what one answered about itself, as figures that a page can show.

Pure functions of the answers; who asks is `pages/engine`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from providers import EngineHealth

PREFIX = "csm_"
NOT_IN_FIGURES = "-"
MOST_MODELS = 50


class _Model(msgspec.Struct, frozen=True):
    """One model's part of `/health/ready`; a page must not fail for a field that is not there."""

    model: str = ""
    status: str = "unknown"
    pid: int | None = None
    stage: str | None = None
    done: int = 0
    total: int = 0
    device: str | None = None
    waiting_limit: int = 0


class _Ready(msgspec.Struct, frozen=True):
    """`/health/ready`: of CSM's server, with `models`, or of the embedded voice, with `workers`."""

    status: str = "unknown"
    models: list[_Model] = []
    model: str = ""
    workers: list[int] = []
    busy: int = 0
    waiting: int = 0
    waiting_limit: int = 0


class Sample(NamedTuple):
    """When how many frames had been made; two of them make a rate."""

    at_ms: int
    frames: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a histogram, in seconds; each is the bound of the bucket that it falls into, at most."""

    p50: float
    p95: float
    count: int


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model of a CSM engine."""

    name: str
    status: str
    stage: str | None
    done: int
    total: int
    device: str | None
    pid: int | None
    waiting_limit: int
    gauges: Mapping[str, int]
    """Slots, clips and memory, and the counters since the start, by their names."""
    step: Quantiles | None
    first_audio: Quantiles | None
    queue: Quantiles | None
    frames_per_second: float | None = None
    """Between this look and the one before; None where there was none."""


@dataclass(frozen=True, slots=True)
class VoiceState:
    """The embedded voice."""

    model: str
    workers: int
    busy: int
    waiting: int
    waiting_limit: int


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine, by the catalogue's row that it answers for."""

    name: str
    address: str
    status: str
    models: tuple[ModelState, ...] = ()
    voice: VoiceState | None = None

    @property
    def mood(self) -> str:
        return {"ready": "good", "loading": "warn", "full": "warn"}.get(self.status, "bad")

    def samples(self, now_ms: int) -> dict[str, Sample]:
        """What the next look is to be compared with, by engine and model."""
        return {
            f"{self.name} {model.name}": Sample(now_ms, model.gauges.get("frames", 0))
            for model in self.models
        }


def engine_state(
    name: str,
    address: str,
    health: EngineHealth | None,
    before: Mapping[str, Sample],
    now_ms: int,
) -> EngineState:
    """before: the last look's samples, by engine and model."""
    if health is None:
        return EngineState(name, address, "does not answer")
    try:
        ready = msgspec.json.decode(health.ready, type=_Ready)
        figures = _figures(health.metrics)
    except (msgspec.DecodeError, ValueError):
        return EngineState(name, address, "answers something else")
    if ready.workers or ready.model:
        told = (len(ready.workers), ready.busy, ready.waiting, ready.waiting_limit)
        return EngineState(name, address, ready.status, voice=VoiceState(ready.model, *told))
    models = tuple(
        _model(each, figures.get(each.model, {}), before.get(f"{name} {each.model}"), now_ms)
        for each in ready.models[:MOST_MODELS]
    )
    return EngineState(name, address, ready.status, models)


Figures = Mapping[str, list[tuple[float, float]]]
"""One model's samples by name: a plain one as (0, value), buckets as (upper bound, count)."""


def _figures(metrics: bytes) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Every sample by model and name; ValueError where it is not Prometheus' text format."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for family in text_string_to_metric_families(metrics.decode()):
        for sample in family.samples:
            if not sample.name.startswith(PREFIX) or "model" not in sample.labels:
                continue
            of_model = found.setdefault(sample.labels["model"], {})
            bound = float(sample.labels.get("le", 0.0))
            name = sample.name.removeprefix(PREFIX)
            of_model.setdefault(name, []).append((bound, float(sample.value)))
    return found


def _model(told: _Model, figures: Figures, before: Sample | None, now_ms: int) -> ModelState:
    gauges = {
        name.removesuffix("_total"): int(sum(value for _, value in samples))
        for name, samples in figures.items()
        if not name.endswith(("_bucket", "_sum", "_count", "_created"))
    }
    return ModelState(
        name=told.model,
        status=told.status,
        stage=told.stage,
        done=told.done,
        total=told.total,
        device=told.device,
        pid=told.pid,
        waiting_limit=told.waiting_limit,
        gauges=gauges,
        step=quantiles(figures.get("step_seconds_bucket", ())),
        first_audio=quantiles(figures.get("first_audio_seconds_bucket", ())),
        queue=quantiles(figures.get("queue_seconds_bucket", ())),
        frames_per_second=_rate(before, Sample(now_ms, gauges.get("frames", 0))),
    )


def quantiles(buckets: Iterable[tuple[float, float]]) -> Quantiles | None:
    """From cumulative buckets as (upper bound, count), straight between bounds; None: no sample."""
    ordered = [(0.0, 0.0), *sorted(buckets)]
    count = ordered[-1][1]
    if not count:
        return None
    return Quantiles(_quantile(ordered, 0.5 * count), _quantile(ordered, 0.95 * count), int(count))


def _quantile(ordered: list[tuple[float, float]], rank: float) -> float:
    for (low, below), (high, reached) in pairwise(ordered):
        if reached >= rank:
            # Of the last bucket nothing is known but where it begins.
            return low if high == float("inf") else _between(low, high, below, reached, rank)
    return ordered[-1][0]


def _between(low: float, high: float, below: float, reached: float, rank: float) -> float:
    return low + (high - low) * (rank - below) / (reached - below)


def _rate(before: Sample | None, now: Sample) -> float | None:
    """Frames a second; an engine that began anew since then counts from 0, which is no rate."""
    if before is None or now.at_ms <= before.at_ms or now.frames < before.frames:
        return None
    return (now.frames - before.frames) * 1000 / (now.at_ms - before.at_ms)

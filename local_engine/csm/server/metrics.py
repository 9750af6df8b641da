"""What `/metrics` tells of each model, in Prometheus' words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from local_engine.csm.messages import Finish, Gauges, Report

_STEPS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)
_WAITS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 4, 8, 15, 30, 60)
_GAUGES = {
    "slots": "Clips that can be spoken at once.",
    "running": "Clips that are being spoken.",
    "paused": "Clips that wait for their listener.",
    "prefilling": "Clips whose prompt is being computed.",
    "waiting": "Requests that wait for a slot.",
    "row_limit": "Clips in one step at most, at present.",
    "snapshots": "Prompts that are kept computed.",
    "snapshot_bytes": "Memory of prompts that are kept computed.",
    "memory_bytes": "Memory of the device in use by the engine.",
    "graphs": "CUDA graphs that were captured; 0 on a CPU.",
    "graph_seconds": "Spent on capturing CUDA graphs, while nobody speaks.",
    "graph_bytes": "Memory of the device that CUDA graphs keep.",
}
_COUNTERS = {
    "frames": "Frames made.",
    "steps": "Steps made.",
    "out_of_memory": "Steps for which the device had no memory.",
}


class Metrics:
    """The numbers of all models, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        model = ("model",)
        self.gauges = {
            name: Gauge(f"csm_{name}", told, model, registry=registry)
            for name, told in _GAUGES.items()
        }
        self.counters = {
            name: Counter(f"csm_{name}", told, model, registry=registry)
            for name, told in _COUNTERS.items()
        }
        self.ready = Gauge("csm_ready", "Whether it speaks: 1 or 0.", model, registry=registry)
        self.clips = Counter(
            "csm_clips", "Clips that ended, by why.", ("model", "finish"), registry=registry
        )
        self.refused = Counter(
            "csm_refused", "Requests that the engine refused.", model, registry=registry
        )
        self.restarts = Counter(
            "csm_restarts", "Engine processes started again.", model, registry=registry
        )
        self.first_audio = Histogram(
            "csm_first_audio_seconds",
            "From the request to its first audio.",
            model,
            registry=registry,
            buckets=_WAITS,
        )
        self.queue = Histogram(
            "csm_queue_seconds",
            "From the request to its slot.",
            model,
            registry=registry,
            buckets=_WAITS,
        )
        self.step = Histogram(
            "csm_step_seconds", "Of one step.", model, registry=registry, buckets=_STEPS
        )

    def text(self) -> bytes:
        """Give all of it in Prometheus' text format."""
        return generate_latest(self._registry)


class ModelMetrics:
    """One model's numbers, which are there from the start."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._model = model
        self._clips = metrics.clips
        self._gauges = {name: each.labels(model) for name, each in metrics.gauges.items()}
        self._counters = {name: each.labels(model) for name, each in metrics.counters.items()}
        self._ready = metrics.ready.labels(model)
        self._refused = metrics.refused.labels(model)
        self._restarts = metrics.restarts.labels(model)
        self._first_audio = metrics.first_audio.labels(model)
        self._queue = metrics.queue.labels(model)
        self._step = metrics.step.labels(model)
        self._before: Gauges | None = None

    def started(self) -> None:
        """Note that a new engine process speaks, which counts from 0."""
        self._before = None
        self._ready.set(1)

    def stopped(self) -> None:
        """Note that it speaks no more, and holds nothing."""
        self._ready.set(0)
        for gauge in self._gauges.values():
            gauge.set(0)

    def restarted(self) -> None:
        self._restarts.inc()

    def reported(self, report: Report) -> None:
        """Take over the gauges, and what was counted since the last report."""
        for name, gauge in self._gauges.items():
            gauge.set(getattr(report.gauges, name))
        for name, counter in self._counters.items():
            before = getattr(self._before, name, 0)
            counter.inc(max(0, getattr(report.gauges, name) - before))
        self._before = report.gauges
        if report.step_seconds:
            self._step.observe(report.step_seconds)

    def first_audio(self, seconds: float) -> None:
        self._first_audio.observe(seconds)

    def refused(self) -> None:
        self._refused.inc()

    def ended(self, finish: Finish, queue_seconds: float) -> None:
        self._clips.labels(self._model, finish).inc()
        if finish != "lost":  # what its engine knew is lost, too
            self._queue.observe(queue_seconds)

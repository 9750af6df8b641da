"""Measures what metrics and the access log cost one request, and what a scrape costs.

In time of the processor. The same fifteen observations by OpenTelemetry's own instruments stand
beside them, for that is the other way to have both Prometheus and OTLP.
"""

import io
import logging
import time
from collections.abc import Callable, Iterator
from statistics import median
from types import SimpleNamespace
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest
from rich.console import Console
from rich.table import Table

from gateway import logs
from gateway.dispatch.measuring import Course, measure
from gateway.metering.operations import AttemptResult, Closing
from gateway.metrics.instruments import Metrics
from gateway.metrics.otlp import metrics_of

TIMES, GROUP = 400, 50
COUNTERS, HISTOGRAMS = 7, 8


def request(provider: str = "openai", model: str = "openai/tts-1") -> tuple[Any, Closing, Course]:
    """One that one provider answered; only what is read of it."""
    now = time.monotonic()
    offer = SimpleNamespace(provider=provider, model=model)
    attempt: Any = SimpleNamespace(
        result=AttemptResult(1, "done", 15_000, 400, 120, 200),
        found=SimpleNamespace(choice=SimpleNamespace(offer=offer), kind="first"),
        started=now - 0.4,
        opened_at=now - 0.3,
        ended=now,
        real_time_factor=0.2,
    )
    job = SimpleNamespace(
        opening=SimpleNamespace(
            format="mp3",
            requested_model=model,
            task=None,
            request_id="req-0",
            trace_id="0" * 32,
            id="gen-tts-0",
            characters=11,
        ),
        plan=SimpleNamespace(policy="price"),
        trace=SimpleNamespace(span_id="0" * 16),
        began=now - 0.41,
        planned=now - 0.409,
    )
    closing = Closing(
        "settled",
        200,
        410,
        model=model,
        provider=provider,
        cost_nano=15_000,
        charged_characters=11,
        audio_ms=2000,
        first_audio_ms=110,
        attempts=(attempt.result,),
    )
    delivery: Any = SimpleNamespace(opened_at=now - 0.3)
    return job, closing, Course(now - 0.409, now - 0.4, now - 0.001, delivery, [attempt])


def by_opentelemetry() -> Callable[[], None]:
    """As many observations of as many instruments, with the same labels."""
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("bench")
    counters = [meter.create_counter(f"c{n}") for n in range(COUNTERS)]
    histograms = [meter.create_histogram(f"h{n}") for n in range(HISTOGRAMS)]
    labels = {"provider": "openai", "model": "openai/tts-1"}

    def observe() -> None:
        for counter in counters:
            counter.add(1, labels)
        for histogram in histograms:
            histogram.record(0.1, labels)

    return observe


def microseconds(work: Callable[[], object], group: int = GROUP) -> list[float]:
    took = []
    for _ in range(TIMES):
        begun = time.thread_time()
        for _ in range(group):
            work()
        took.append((time.thread_time() - begun) * 1e6 / group)
    return sorted(took)


def works() -> Iterator[tuple[str, Callable[[], object], int]]:
    metrics = Metrics()
    job, closing, course = request()
    yield "metrics of a request", lambda: measure(metrics, job, closing, course), GROUP
    yield "the same by OpenTelemetry", by_opentelemetry(), GROUP
    logs.access.setLevel(logging.INFO)
    logs.access.propagate = False
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs.JsonLines())
    logs.access.addHandler(handler)
    yield "with an access line in JSON", lambda: measure(metrics, job, closing, course), GROUP
    logs.access.setLevel(logging.WARNING)
    for n in range(40):
        measure(metrics, *request(f"provider-{n % 20}", f"model-{n}"))
    yield "a scrape of 40 offers", lambda: generate_latest(metrics.registry), 1
    yield "an OTLP batch of 40 offers", lambda: metrics_of(metrics.registry, 0, 1), 1


def main() -> None:
    table = Table("what", "median us", "p99 us")
    for what, work, group in works():
        work()
        took = microseconds(work, group)
        table.add_row(what, f"{median(took):.1f}", f"{took[TIMES * 99 // 100]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

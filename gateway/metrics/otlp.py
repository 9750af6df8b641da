"""Metrics by OTLP, where the standard OTEL_* variables say so: the registry's numbers, as they are.

Instruments of OpenTelemetry's own cost a request several times as much as prometheus_client's,
so these are kept once, there, and translated on their way out. Sums are cumulative.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

CLOSE_SECONDS = 3.0
INTERVAL_MS = 60_000.0
REFRESH_SECONDS = 5.0
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_SCOPE = InstrumentationScope("voxroute")
_UNKNOWN: float = None  # type: ignore[assignment]  # so the SDK's own exporter takes it
"""The least and the most of a histogram, which are not kept."""
_UNITS = {"_seconds": "s", "_bytes": "By", "_nano_usd": "n{USD}"}
Labels = tuple[tuple[str, str], ...]
log = logging.getLogger(__name__)


class Export:
    """Sends all metrics off again and again, in a thread of its own; nobody waits for it."""

    def __init__(
        self, environ: Mapping[str, str], collector: Collector, refresh: Callable[[], None]
    ) -> None:
        """refresh: brings what is read rather than counted up to date; may wait, may fail."""
        self._collector = collector
        self._refresh = refresh
        self._resource = Resource.create(
            {"service.name": environ.get("OTEL_SERVICE_NAME", "voxroute")}
        )
        self._began_ns = time.time_ns()
        self._seconds = _interval(environ)
        self._stopping = threading.Event()
        self._exporter: MetricExporter | None = _exporter() if exporting(environ) else None
        self._thread = threading.Thread(target=self._run, name="metrics-export", daemon=True)

    def start(self) -> None:
        if self._exporter is not None:
            self._thread.start()

    def close(self) -> None:
        """Send the last numbers, for a few seconds at most: a collector that hangs holds nobody."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        assert self._exporter is not None  # noqa: S101  # start saw to it
        while not self._stopping.wait(self._seconds):
            self._refresh()
            self._exporter.export(self._data())
        self._exporter.export(self._data())
        self._exporter.shutdown()

    def _data(self) -> MetricsData:
        metrics = metrics_of(self._collector, self._began_ns, time.time_ns())
        scope = ScopeMetrics(_SCOPE, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])


def metrics_of(collector: Collector, began_ns: int, now_ns: int) -> list[Metric]:
    """Whatever the registry has, in OpenTelemetry's words."""
    found = []
    for family in collector.collect():
        data: Sum | Gauge | Histogram
        if family.type == "histogram":
            data = Histogram(_distributions(family.samples, began_ns, now_ns), _CUMULATIVE)
        elif family.type == "counter":
            data = Sum(_numbers(family.samples, began_ns, now_ns), _CUMULATIVE, is_monotonic=True)
        else:
            data = Gauge(_numbers(family.samples, None, now_ns))
        found.append(Metric(family.name, family.documentation, _unit(family.name), data))
    return found


def _numbers(samples: Iterable[Sample], began_ns: int | None, now_ns: int) -> list[NumberDataPoint]:
    return [
        # A gauge begins at no time; the SDK types this as int, its exporter takes None.
        NumberDataPoint(each.labels, began_ns, now_ns, float(each.value))  # type: ignore[arg-type]
        for each in samples
        if not each.name.endswith("_created")
    ]


def _distributions(
    samples: Iterable[Sample], began_ns: int, now_ns: int
) -> list[HistogramDataPoint]:
    buckets: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    sums: dict[Labels, float] = {}
    for each in samples:
        labels = tuple((name, value) for name, value in each.labels.items() if name != "le")
        if each.name.endswith("_bucket"):
            buckets[labels].append((float(each.labels["le"]), each.value))
        elif each.name.endswith("_sum"):
            sums[labels] = each.value
    return [
        _distribution(labels, sums[labels], of, (began_ns, now_ns))
        for labels, of in buckets.items()
    ]


def _distribution(
    labels: Labels, total: float, buckets: Sequence[tuple[float, float]], times: tuple[int, int]
) -> HistogramDataPoint:
    """Prometheus' buckets hold all that is below their bound; OpenTelemetry's only their own."""
    below = [0.0, *(count for _, count in buckets)]
    own = [round(after - before) for before, after in pairwise(below)]
    bounds = [bound for bound, _ in buckets[:-1]]
    count = round(below[-1])
    return HistogramDataPoint(dict(labels), *times, count, total, own, bounds, _UNKNOWN, _UNKNOWN)


def _unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "1")


def _interval(environ: Mapping[str, str]) -> float:
    given = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    try:
        return max(0.01, float(given or INTERVAL_MS) / 1000)
    except ValueError:
        log.warning("OTEL_METRIC_EXPORT_INTERVAL is no number of milliseconds; a minute it is")
        return INTERVAL_MS / 1000


def _exporter() -> MetricExporter:
    # The exporter brings an HTTP client and protobuf along: only who exports waits for them.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )

    return OTLPMetricExporter()


def exporting(environ: Mapping[str, str]) -> bool:
    """Whether metrics are wanted by OTLP."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get("OTEL_METRICS_EXPORTER", "otlp") == "none":
        return False
    return any(
        environ.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    )

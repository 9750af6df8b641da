"""An OTLP/HTTP collector that keeps all that it is sent, or behaves as badly as it is told."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Manner = Literal["fine", "hang", "fail"]


class Collector:
    """The server, on threads of its own."""

    def __init__(self, manner: Manner = "fine") -> None:
        self.bodies: list[bytes] = []
        """Of traces."""
        self.measured: list[bytes] = []
        """Of metrics."""
        self.asked = threading.Event()
        """Set when something was sent, however it was answered."""
        self._ending = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked.set()
                if manner == "hang":
                    outer._ending.wait(60)
                    return
                if manner == "fine":
                    metrics = self.path.endswith("/v1/metrics")
                    (outer.measured if metrics else outer.bodies).append(body)
                self.send_response(200 if manner == "fine" else 500)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, once its request's own span has come."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            spans = [span for span in self._spans() if span.trace_id.hex() == trace_id]
            if any(span.kind == Span.SPAN_KIND_SERVER for span in spans):
                return sorted(spans, key=lambda span: span.start_time_unix_nano)
            time.sleep(0.05)
        raise AssertionError(f"no trace {trace_id} was exported")

    def metrics(self) -> dict[str, Metric]:
        """The metrics that came last, by name."""
        [resource] = ExportMetricsServiceRequest.FromString(self.measured[-1]).resource_metrics
        return {each.name: each for scope in resource.scope_metrics for each in scope.metrics}

    def _spans(self) -> Iterator[Span]:
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans


def attributes(span: Span | NumberDataPoint | HistogramDataPoint) -> dict[str, object]:
    """A span's attributes, or a data point's labels, as plain values."""
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in span.attributes
    }

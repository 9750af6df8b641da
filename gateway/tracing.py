"""OpenTelemetry: one trace per request, out by OTLP where the standard OTEL_* variables say so.

The request's span lives as long as the request; its children are written down from their measured
times when it ends. Exporting happens in a background thread that drops what it cannot keep up with.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

CLOSE_SECONDS = 3.0
Attributes = Mapping[str, AttributeValue | None]


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a request with its measured times (monotonic seconds)."""

    name: str
    start: float
    end: float
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


class Tracing:
    """Opens traces."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        exporting = _exporting(environ)
        # Without an exporter nothing is recorded, and every request still has a trace id.
        self._provider = TracerProvider(
            resource=Resource.create(
                {"service.name": environ.get("OTEL_SERVICE_NAME", "voxroute")}
            ),
            sampler=None if exporting else ALWAYS_OFF,
            shutdown_on_exit=False,
        )
        if exporting:
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("voxroute")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, headers: Mapping[str, str]) -> "Trace":
        """A request's trace, continuing the caller's own when `headers` carry W3C context."""
        parent = self._propagator.extract(headers) if "traceparent" in headers else None
        return Trace(self, name, parent)

    def close(self) -> None:
        """Send what waits, for a few seconds at most: a collector that hangs holds nobody up."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


class Trace:
    """One request's trace."""

    def __init__(self, tracing: Tracing, name: str, parent: object) -> None:
        self._tracer = tracing._tracer  # noqa: SLF001  # the two are one room
        self._begun = (time.monotonic(), time.time_ns())
        self._span = self._tracer.start_span(
            name,
            context=parent,  # type: ignore[arg-type]  # extract() gives the Context it takes
            kind=SpanKind.SERVER,
            start_time=self._begun[1],
        )
        context = self._span.get_span_context()
        self.id = format_trace_id(context.trace_id)
        flags = f"{context.trace_flags:02x}"
        self.traceparent = f"00-{self.id}-{format_span_id(context.span_id)}-{flags}"

    def end(self, steps: list[Step], attributes: Attributes, error: str | None = None) -> None:
        """Write the steps down as children, and close the request's span."""
        if self._span.is_recording():
            context = set_span_in_context(self._span)
            for step in steps:
                span = self._tracer.start_span(
                    step.name,
                    context=context,
                    kind=SpanKind.CLIENT if step.name == "attempt" else SpanKind.INTERNAL,
                    attributes=_known(step.attributes),
                    start_time=self._at(step.start),
                )
                if step.error:
                    span.set_status(Status(StatusCode.ERROR, step.error))
                span.end(self._at(step.end))
            self._span.set_attributes(_known(attributes))
            if error:
                self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()

    def _at(self, monotonic: float) -> int:
        began, began_ns = self._begun
        return began_ns + int((monotonic - began) * 1e9)


def _known(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}


def _exporting(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return any(
        environ.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )

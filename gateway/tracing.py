"""OpenTelemetry: one trace per request, out by OTLP where the standard OTEL_* variables say so.

A request's spans are written down from its measured times when it ends, all at once: opening and
closing live spans on the way costs three times as much. Exporting happens in a background thread
that drops what it cannot keep up with.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

CLOSE_SECONDS = 3.0
Attributes = Mapping[str, AttributeValue | None]
_SCOPE = InstrumentationScope("voxroute")
_UNSET = Status(StatusCode.UNSET)


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a request with its measured times (monotonic seconds)."""

    name: str
    start: float
    end: float
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


class Tracing:
    """Opens traces, and sends them off."""

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
        self._processor = _exporter() if exporting else None
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, headers: Mapping[str, str], trace_id: str) -> "Trace":
        """A request's trace, continuing the caller's own when `headers` carry W3C context.

        trace_id: 32 hex digits, of a trace that begins here.
        """
        context, parent = None, None
        if "traceparent" in headers:
            context = self._propagator.extract(headers)
            caller = get_current_span(context).get_span_context()
            parent = caller if caller.is_valid else None
        own = parent.trace_id if parent else int(trace_id, 16)
        return Trace(self, name, self._context(name, context, own), parent)

    def span_id(self) -> int:
        return self._provider.id_generator.generate_span_id()

    def record(self, spans: Sequence[ReadableSpan]) -> None:
        """Hand finished spans to the exporter's queue; never waits."""
        if self._processor is not None:
            for span in spans:
                self._processor.on_end(span)

    @property
    def resource(self) -> Resource:
        return self._provider.resource

    def close(self) -> None:
        """Send what waits, for a few seconds at most: a collector that hangs holds nobody up."""
        if self._processor is not None:
            closing = threading.Thread(target=self._processor.shutdown, daemon=True)
            closing.start()
            closing.join(CLOSE_SECONDS)

    def _context(self, name: str, context: Context | None, trace_id: int) -> SpanContext:
        sampling = self._provider.sampler.should_sample(
            context, trace_id, name, kind=SpanKind.SERVER
        )
        sampled = sampling.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT
        return SpanContext(trace_id, self.span_id(), False, TraceFlags(flags), sampling.trace_state)


class Trace:
    """One request's trace."""

    def __init__(
        self, tracing: Tracing, name: str, context: SpanContext, parent: SpanContext | None
    ) -> None:
        self._tracing = tracing
        self._name = name
        self._context = context
        self._parent = parent
        self._began, self._began_ns = time.monotonic(), time.time_ns()
        self.id = format_trace_id(context.trace_id)
        self.span_id = format_span_id(context.span_id)
        self.traceparent = f"00-{self.id}-{self.span_id}-{context.trace_flags:02x}"

    def end(self, steps: Sequence[Step], attributes: Attributes, error: str | None = None) -> None:
        """Write the request's span down, with its steps as children: it began with the first."""
        if not self._context.trace_flags.sampled:
            return
        began = min([self._began, *(step.start for step in steps)])
        whole = Step(self._name, began, time.monotonic(), attributes, error)
        spans = [self._span(step, self._child(), self._context) for step in steps]
        spans.append(self._span(whole, self._context, self._parent))
        self._tracing.record(spans)

    def _child(self) -> SpanContext:
        context = self._context
        return SpanContext(
            context.trace_id,
            self._tracing.span_id(),
            False,
            context.trace_flags,
            context.trace_state,
        )

    def _span(self, step: Step, context: SpanContext, parent: SpanContext | None) -> ReadableSpan:
        kind = SpanKind.CLIENT if step.name == "attempt" else SpanKind.INTERNAL
        return ReadableSpan(
            step.name,
            context=context,
            parent=parent,
            resource=self._tracing.resource,
            attributes={
                name: value for name, value in step.attributes.items() if value is not None
            },
            kind=SpanKind.SERVER if context is self._context else kind,
            status=Status(StatusCode.ERROR, step.error) if step.error else _UNSET,
            start_time=self._at(step.start),
            end_time=self._at(step.end),
            instrumentation_scope=_SCOPE,
        )

    def _at(self, monotonic: float) -> int:
        return self._began_ns + int((monotonic - self._began) * 1e9)


def _exporter() -> BatchSpanProcessor:
    # The exporter brings an HTTP client and protobuf along: only who exports waits for them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return BatchSpanProcessor(OTLPSpanExporter())


def _exporting(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return any(
        environ.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )

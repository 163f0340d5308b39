"""Spans to a collector, with the sampler, the batches and the exporter of the OpenTelemetry SDK.

Imported only where tracing is on. The SDK's own spans cost 40 to 60 us each, which is felt in a search of some
milliseconds; ours become the SDK's once they are over, for a tenth of that.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ance import __version__
from ance.runtime.tracing.collector import quiet_exporter
from ance.runtime.tracing.context import SAMPLED, TraceContext
from ance.runtime.tracing.spans import Kind, Span

KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
SCOPE = InstrumentationScope("ance", __version__)
OK, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class OtlpTracer:
    """The tracer of a process. Everything about the collector and the sampler comes from the environment."""

    def __init__(self, service: str, run: str, exporter: SpanExporter | None = None) -> None:
        ours = Resource({"service.name": f"ance-{service.replace('_', '-')}", "ance.run": run})
        # What the environment says of the process wins.
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._sampler, self._ids, self._resource = provider.sampler, provider.id_generator, provider.resource
        self._exporter = exporter or quiet_exporter()
        self._processor = BatchSpanProcessor(self._exporter)

    def begin(
        self, name: str, kind: Kind, parent: TraceContext | None, links: Sequence[TraceContext] | None, *, local: bool
    ) -> TraceContext:
        """The context of a new span. The sampler is asked once in a process and trace: its answer would not change."""
        trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
        if links is not None:
            sampled = any(link.sampled for link in links)
        elif parent is not None and local:
            sampled = parent.sampled
        else:
            context = None if parent is None else trace.set_span_in_context(NonRecordingSpan(sdk_context(parent)))
            decision = self._sampler.should_sample(context, trace_id, name, KINDS[kind]).decision
            sampled = decision is Decision.RECORD_AND_SAMPLE
        return TraceContext(trace_id, self._ids.generate_span_id(), sampled)

    def end(self, span: Span, began_ns: int, ended_ns: int) -> None:
        """Queue a span for the thread that exports; with the queue full, the oldest ones are lost."""
        if span.context is None or not span.context.sampled:
            return
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=sdk_context(span.context),
                parent=None if span.parent is None else sdk_context(span.parent),
                resource=self._resource,
                attributes=span.attributes,
                links=[Link(sdk_context(link)) for link in span.links],
                kind=KINDS[span.kind],
                status=FAILED if "error.type" in span.attributes else OK,
                start_time=began_ns,
                end_time=ended_ns,
                instrumentation_scope=SCOPE,
            )
        )

    def stop(self, seconds: float) -> None:
        """Export what is queued; what a silent collector has not taken after `seconds` is lost."""
        closing = threading.Thread(target=self._processor.shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(seconds)
        self._exporter.shutdown()


def sdk_context(context: TraceContext) -> SpanContext:
    """As the SDK writes it."""
    flags = TraceFlags(SAMPLED if context.sampled else 0)
    return SpanContext(context.trace_id, context.span_id, is_remote=False, trace_flags=flags)

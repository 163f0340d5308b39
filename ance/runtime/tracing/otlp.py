"""Spans to a collector, with the sampler, the batches and the exporter of the OpenTelemetry SDK.

Imported only where tracing is on. The SDK's own spans cost 40 to 60 us each, which is felt in a search of some
milliseconds; ours become the SDK's in the thread that exports.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ance import __version__
from ance.runtime.tracing.collector import quiet_exporter
from ance.runtime.tracing.context import SAMPLED, TraceContext
from ance.runtime.tracing.spans import Kind, Span, Stage

KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
PREFIX = "ance."
"""Of attributes that no convention has a name for."""
SCOPE = InstrumentationScope("ance", __version__)
OK, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class OtlpTracer:
    """The tracer of a process. Everything about the collector and the sampler comes from the environment."""

    def __init__(self, service: str, run: str, exporter: SpanExporter | None = None) -> None:
        ours = Resource({"service.name": f"ance-{service.replace('_', '-')}", "ance.run": run})
        # What the environment says of the process wins.
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._sampler, self._ids = provider.sampler, provider.id_generator
        self._exporter = LateExporter(exporter or quiet_exporter(), provider.resource, self._ids)
        self._processor = BatchSpanProcessor(self._exporter)

    def begin(
        self, name: str, kind: Kind, parent: TraceContext | None, links: Sequence[TraceContext] | None, *, local: bool
    ) -> TraceContext:
        """The context of a new span. The sampler is asked once in a process and trace: its answer would not change."""
        if parent is not None and local and links is None:
            return TraceContext(parent.trace_id, self._ids.generate_span_id(), parent.sampled)
        trace_id = self._ids.generate_trace_id() if parent is None else parent.trace_id
        if links is not None:
            sampled = any(link.sampled for link in links)
        else:
            context = None if parent is None else trace.set_span_in_context(NonRecordingSpan(sdk_context(parent)))
            decision = self._sampler.should_sample(context, trace_id, name, KINDS[kind]).decision
            sampled = decision is Decision.RECORD_AND_SAMPLE
        return TraceContext(trace_id, self._ids.generate_span_id(), sampled)

    def end(self, span: Span) -> None:
        """Queue a span for the thread that exports; with the queue full, the oldest ones are lost."""
        if span.recorded:
            self._processor.on_end(Ended(span))

    def stop(self, seconds: float) -> None:
        """Export what is queued; what a silent collector has not taken after `seconds` is lost."""
        closing = threading.Thread(target=self._processor.shutdown, name="last-spans", daemon=True)
        closing.start()
        closing.join(seconds)
        self._exporter.shutdown()


class Ended(ReadableSpan):
    """A span that is over, in the queue: of what the SDK knows of a span, only that it is recorded."""

    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(SAMPLED))

    def __init__(self, span: Span) -> None:
        self.span = span


class LateExporter(SpanExporter):
    """Makes the SDK's spans of ours, and of their stages, when they are about to leave."""

    def __init__(self, exporter: SpanExporter, resource: Resource, ids: IdGenerator) -> None:
        self._exporter, self._resource, self._ids = exporter, resource, ids

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send what was queued."""
        ours = [span for ended in spans if isinstance(ended, Ended) for span in (ended.span, *ended.span.within)]
        return self._exporter.export([made for span in ours for made in self._made(span)])

    def shutdown(self) -> None:
        """Give up what is being tried."""
        self._exporter.shutdown()

    def _made(self, span: Span) -> Iterator[ReadableSpan]:
        assert span.context is not None, "it was recorded"
        context, kind = sdk_context(span.context), KINDS[span.kind]
        links = [Link(sdk_context(link)) for link in span.links]
        status = FAILED if "error.type" in span.attributes else OK
        parent = None if span.parent is None else sdk_context(span.parent)
        attributes = span.attributes | {f"{PREFIX}{name}": value for name, value in span.values.items()}
        yield self._span(span, context, parent, attributes=attributes, links=links, kind=kind, status=status)
        for stage in span.stages:
            own = TraceContext(span.context.trace_id, self._ids.generate_span_id(), sampled=True)
            yield self._span(stage, sdk_context(own), context)

    def _span(
        self, timed: Span | Stage, context: SpanContext, parent: SpanContext | None, **described: Any
    ) -> ReadableSpan:
        return ReadableSpan(
            name=timed.name,
            context=context,
            parent=parent,
            resource=self._resource,
            start_time=timed.began_ns,
            end_time=timed.ended_ns,
            instrumentation_scope=SCOPE,
            **described,
        )


def sdk_context(context: TraceContext) -> SpanContext:
    """As the SDK writes it."""
    flags = TraceFlags(SAMPLED if context.sampled else 0)
    return SpanContext(context.trace_id, context.span_id, is_remote=False, trace_flags=flags)

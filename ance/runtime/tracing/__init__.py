"""Tracing with OpenTelemetry, off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; then `span` does nothing.

Like logging, tracing belongs to the process: `start` switches it on, and code that does work says `with span("mine"):`.
"""

from ance.runtime.tracing.context import TraceContext
from ance.runtime.tracing.lifecycle import start, stop
from ance.runtime.tracing.spans import (
    Span,
    current_context,
    current_span,
    current_traceparent,
    exemplar,
    span,
    stages,
)

__all__ = [
    "Span",
    "TraceContext",
    "current_context",
    "current_span",
    "current_traceparent",
    "exemplar",
    "span",
    "stages",
    "start",
    "stop",
]

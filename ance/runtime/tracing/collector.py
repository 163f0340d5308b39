"""The way to the collector: what is said when it is away, once, in place of what the SDK says each time."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ance.runtime.logs import get_logger

log = get_logger(__name__)

SDK = "opentelemetry"


class Complaints(logging.Handler):
    """Keeps what the SDK complains of instead of showing it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember what would have been logged: the first of it, which has the reason."""
        self.text = self.text or record.getMessage()


class QuietExporter(SpanExporter):
    """Exports with another exporter, and says once when the collector stops to answer, and once when it is back."""

    def __init__(self, exporter: SpanExporter, complaints: Complaints) -> None:
        self._exporter = exporter
        self._complaints = complaints
        self._away = False
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; they are lost if that fails, as nothing here may grow without bound."""
        self._complaints.text = ""
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("the trace collector does not answer, spans are dropped: %s", self._complaints.text)
        if self._away and not away:
            log.info("the trace collector answers again")
        self._away = away
        return result

    def shutdown(self) -> None:
        """Give up what is being tried."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()


def quiet_exporter() -> QuietExporter:
    """An exporter to the collector that the environment names."""
    complaints = Complaints()
    sdk = logging.getLogger(SDK)
    sdk.handlers, sdk.propagate = [complaints], False
    return QuietExporter(OTLPSpanExporter(), complaints)

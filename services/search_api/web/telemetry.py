"""Counts, times and logs every request; the outermost layer, so that what others refuse is seen, too."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ance.runtime.metrics import SearchMetrics
from ance.runtime.tracing import exemplar
from services.search_api.web.exchange import SCOPE_KEY, Exchange
from services.search_api.web.server_span import TRACE_RESPONSE, describe_answer, server_span

log = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Not a status that anybody gets: the client left before the answer."""
REASONS = {
    HTTPStatus.TOO_MANY_REQUESTS: "overloaded",
    HTTPStatus.GATEWAY_TIMEOUT: "deadline",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.REQUEST_TIMEOUT: "slow_body",
    HTTPStatus.UNAUTHORIZED: "unauthorised",
    HTTPStatus.FORBIDDEN: "unauthorised",
    CLIENT_GONE: "disconnected",
}
"""Of a rejection, by status."""
PROBES = frozenset({"/healthz", "/readyz", "/startupz"})
REQUEST_ID = "X-Request-Id"


class Telemetry:
    """Around the whole application.

    Args:
        log_queries: log requests with the texts of their queries; otherwise only on DEBUG, and without texts.
    """

    def __init__(self, app: ASGIApp, metrics: SearchMetrics, *, log_queries: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._log_queries = log_queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        code = CLIENT_GONE
        headers = Headers(scope=scope)
        exchange = scope[SCOPE_KEY] = Exchange.begin(headers.get(REQUEST_ID))

        async def sending(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                answer = MutableHeaders(scope=message)
                answer[REQUEST_ID] = exchange.request_id
                if traceparent := request.traceparent:
                    answer[TRACE_RESPONSE] = traceparent
            await send(message)

        with server_span(scope, headers) as request:
            try:
                await self._app(scope, receive, sending)
            except Exception:
                code = HTTPStatus.INTERNAL_SERVER_ERROR.value
                raise
            finally:
                seconds = time.perf_counter() - started
                describe_answer(request, scope, code)
                self._count(exchange, code, seconds)
                self._log(exchange, scope["path"], code, seconds)

    def _count(self, exchange: Exchange, code: int, seconds: float) -> None:
        self._metrics.requests.labels(exchange.mode, str(code)).inc()
        self._metrics.request_duration_seconds.labels(exchange.mode).observe(seconds, exemplar())
        if code in REASONS:
            self._metrics.rejected.labels(reason=REASONS[code]).inc()

    def _log(self, exchange: Exchange, path: str, code: int, seconds: float) -> None:
        level = logging.INFO if self._log_queries else logging.DEBUG
        if not log.isEnabledFor(level):
            return
        fields = {"request_id": exchange.request_id, "mode": exchange.mode, "code": code, "seconds": round(seconds, 4)}
        texts = {"queries": list(exchange.queries)} if self._log_queries else {"path": path}
        log.log(level, "request answered", extra=fields | exchange.fields | texts)

"""The span of a request, described as OpenTelemetry's conventions for HTTP servers say."""

from __future__ import annotations

from http import HTTPMethod

from starlette.datastructures import Headers
from starlette.types import Scope

from ance.runtime.tracing import Span, span

TRACE_RESPONSE = "traceresponse"
"""The header that tells a client where its request is recorded (W3C Trace Context, level 2 draft)."""
METHODS = frozenset(HTTPMethod)


def server_span(scope: Scope, headers: Headers) -> Span:
    """A span that continues the client's trace, if it sent one. The query string is left out: queries are in it."""
    method = scope["method"] if scope["method"] in METHODS else "_OTHER"
    begun = span(method, parent=headers.get("traceparent", ""), kind="server")
    if begun.recorded:
        address, port = scope["server"]
        begun.describe(
            {
                "http.request.method": method,
                "url.scheme": scope["scheme"],
                "url.path": scope["path"],
                "network.protocol.version": scope["http_version"],
                "server.address": address,
                "server.port": port,
                "user_agent.original": headers.get("user-agent", ""),
            }
        )
    return begun


def describe_answer(request: Span, scope: Scope, code: int) -> None:
    """Add what is known only in the end: the endpoint and the status."""
    if not request.recorded:
        return
    answer: dict[str, str | int] = {"http.response.status_code": code}
    if (route := scope.get("route")) is not None:
        request.name = f"{request.name} {route.path}"
        answer["http.route"] = route.path
    if code >= 500:
        answer["error.type"] = str(code)
    request.describe(answer)

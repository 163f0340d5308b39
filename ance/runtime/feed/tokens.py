"""The token of the feed: how a watcher shows it, and how the trainer asks for it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health  # type: ignore[import-untyped]

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

HEADER = "authorization"
HEALTH = f"/{health.SERVICE_NAME}/"


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call that shows `token`; empty where there is none."""
    return ((HEADER, f"Bearer {token}"),) if token else ()


class TokenRequired(grpc.aio.ServerInterceptor):
    """Answers calls without the token with UNAUTHENTICATED, but for those of grpc.health.v1, which probes make."""

    def __init__(self, token: str) -> None:
        self._expected = _digest(f"Bearer {token}")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler of a call, or one that refuses it."""
        if handler_call_details.method.startswith(HEALTH):
            return await continuation(handler_call_details)
        shown = [value for key, value in handler_call_details.invocation_metadata if key == HEADER]
        if any(hmac.compare_digest(_digest(value), self._expected) for value in shown):
            return await continuation(handler_call_details)
        return _refusal("this is not its token" if shown else "it asks for a token")


def _digest(value: str | bytes) -> bytes:
    """Digests are compared, so that the time it takes says nothing of the token's length either."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()


def _refusal(reason: str) -> Handler:
    message = f"the trainer's feed refuses the call, {reason}: set ANCE_FEED_TOKEN to the trainer's"

    async def refuse(_requests: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, message)

    # Of all four kinds of handlers this one answers before a request has arrived, whatever the call is.
    return grpc.stream_stream_rpc_method_handler(refuse)

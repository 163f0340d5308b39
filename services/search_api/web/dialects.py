"""The dialects of other services that the API speaks, as far as errors go: each has a form of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a service that we speak like reports errors."""

    error: Callable[[HTTPStatus, str], dict[str, Any]]
    """The body, from the status and the message."""
    schema: dict[str, Any]
    """JSON schema of the body."""
    statuses: Mapping[HTTPStatus, HTTPStatus] = field(default_factory=dict)
    """Where its status differs from ours."""

    def status(self, status: HTTPStatus) -> HTTPStatus:
        """Its status for one of ours."""
        return self.statuses.get(status, status)

    def documented(self, *statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
        """The OpenAPI entries of responses that are its errors."""
        content = {"application/json": {"schema": self.schema}}
        theirs = {HTTPStatus.BAD_REQUEST, *map(self.status, statuses)}
        return {int(status): {"description": status.phrase, "content": content} for status in sorted(theirs)}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_STRING = {"type": "string"}

_OPENAI_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


def _openai(status: HTTPStatus, message: str) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(
        status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    )
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


_TEI_TYPES = {
    HTTPStatus.TOO_MANY_REQUESTS: "overloaded",
    HTTPStatus.SERVICE_UNAVAILABLE: "unhealthy",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "unauthorized",
}


def _tei(status: HTTPStatus, message: str) -> dict[str, Any]:
    kind = _TEI_TYPES.get(status, "backend" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "validation")
    return {"error": message, "error_type": kind}


def _cohere(status: HTTPStatus, message: str) -> dict[str, Any]:
    return {"message": message}


_UNPROCESSABLE_IS_BAD = {HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}

OPENAI = Dialect(
    _openai, _object(error=_object(message=_STRING, type=_STRING, param={}, code={})), _UNPROCESSABLE_IS_BAD
)
TEI = Dialect(_tei, _object(error=_STRING, error_type=_STRING))
COHERE = Dialect(_cohere, _object(message=_STRING), _UNPROCESSABLE_IS_BAD)

_BY_PATH = {"/v1/embeddings": OPENAI, "/embed": TEI, "/rerank": TEI, "/info": TEI, "/v2/rerank": COHERE}


def dialect_of(path: str) -> Dialect | None:
    """The dialect of an endpoint; None: our own."""
    return _BY_PATH.get(path)

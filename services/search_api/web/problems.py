"""Errors as `application/problem+json` (RFC 9457), for every way in which a request can fail."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from services.search_api.engine.errors import NotReady, Overloaded, Unsupported
from services.search_api.web.dialects import dialect_of

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"

PREFIX = "urn:ance:problem:"
INVALID_REQUEST = f"{PREFIX}invalid-request"
NO_INDEX = f"{PREFIX}no-index"
NO_BM25 = f"{PREFIX}no-bm25"
NO_RERANKER = f"{PREFIX}no-reranker"
NO_DOCUMENTS = f"{PREFIX}no-documents"
DRAINING = f"{PREFIX}draining"
OVERLOADED = f"{PREFIX}overloaded"
DEADLINE = f"{PREFIX}deadline"
TOO_LARGE = f"{PREFIX}body-too-large"
SLOW_BODY = f"{PREFIX}slow-body"
MEDIA = f"{PREFIX}unsupported-media-type"
UNAUTHORISED = f"{PREFIX}unauthorised"
UNKNOWN_DOCUMENT = f"{PREFIX}unknown-document"
UNKNOWN_VERSION = f"{PREFIX}unknown-version"
STORE = f"{PREFIX}store"

_MISSING = {"index": NO_INDEX, "bm25": NO_BM25, "reranker": NO_RERANKER, "documents": NO_DOCUMENTS}


class Problem(BaseModel):
    """What went wrong. `about:blank` as the type means that the status says it all."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    """Identifies the kind of problem; stable, meant for programs."""
    title: str
    status: int
    detail: str
    """What happened this time and what to do, for people."""
    instance: str
    """Path of the request."""
    errors: list[dict[str, str]] | None = None
    """Invalid fields, each `{pointer, detail}`: a JSON pointer into the body, and what is wrong there."""


class ProblemError(Exception):
    """Raised to answer with a problem of its own type."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers

    def respond(self, path: str) -> JSONResponse:
        """As the answer to a request for `path`."""
        return respond(path, self.status, self.detail, kind=self.kind, headers=self.headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem, the framework's own errors included."""

    async def raised(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return error.respond(request.url.path)

    async def not_ready(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, NotReady)
        kind, headers = _MISSING[error.missing], {"Retry-After": RETRY_SECONDS}
        return respond(request.url.path, HTTPStatus.SERVICE_UNAVAILABLE, str(error), kind=kind, headers=headers)

    async def overloaded(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Overloaded)
        headers = {"Retry-After": str(error.retry_after)}
        return respond(request.url.path, HTTPStatus.TOO_MANY_REQUESTS, str(error), kind=OVERLOADED, headers=headers)

    async def unsupported(request: Request, error: Exception) -> JSONResponse:
        return respond(request.url.path, HTTPStatus.UNPROCESSABLE_ENTITY, str(error), kind=INVALID_REQUEST)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return respond(request.url.path, HTTPStatus(error.status_code), error.detail, headers=error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = [field_error(problem) for problem in error.errors()]
        return respond(
            request.url.path,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(f"{field['pointer']}: {field['detail']}" for field in errors),
            kind=INVALID_REQUEST,
            errors=errors,
        )

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return respond(request.url.path, HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")

    app.add_exception_handler(ProblemError, raised)
    app.add_exception_handler(NotReady, not_ready)
    app.add_exception_handler(Overloaded, overloaded)
    app.add_exception_handler(Unsupported, unsupported)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def respond(
    path: str,
    status: HTTPStatus,
    detail: str,
    *,
    kind: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """An error as the answer to a request for `path`, in the form that its dialect has for errors."""
    dialect = dialect_of(path)
    if dialect is not None:
        return JSONResponse(dialect.error(status, _sendable(detail)), dialect.status(status), headers)
    problem = Problem(
        type=kind,
        title=status.phrase,
        status=status,
        detail=_sendable(detail),
        instance=_sendable(path),
        errors=errors,
    )
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def field_error(error: Mapping[str, Any]) -> dict[str, str]:
    """A validation error and its place in the body, a JSON pointer as a URI fragment (RFC 6901), `#/queries/3`."""
    if error["type"] == "json_invalid":
        return {"pointer": "#", "detail": f"not valid JSON: {error['ctx']['error']}"}
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"][1:])
    pointer = "".join("/" + quote(_sendable(part)) for part in parts)
    return {"pointer": f"#{pointer}", "detail": _sendable(error["msg"])}


def _sendable(text: str) -> str:
    """JSON can smuggle in half a surrogate pair, which no encoding can send back."""
    return text.encode("utf-8", "replace").decode()


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of responses that are problems."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}

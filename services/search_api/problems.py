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

MEDIA_TYPE = "application/problem+json"

INVALID_REQUEST = "urn:ance:problem:invalid-request"
NO_INDEX = "urn:ance:problem:no-index"
DRAINING = "urn:ance:problem:draining"


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
    """Raised by an endpoint to answer with a problem of its own type."""

    def __init__(self, status: HTTPStatus, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem, the framework's own errors included."""

    async def raised(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return respond(request, error.status, error.detail, kind=error.kind, headers=error.headers)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return respond(request, HTTPStatus(error.status_code), error.detail, headers=error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        errors = [field_error(problem) for problem in error.errors()]
        return respond(
            request,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "; ".join(f"{field['pointer']}: {field['detail']}" for field in errors),
            kind=INVALID_REQUEST,
            errors=errors,
        )

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return respond(request, HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why.")

    app.add_exception_handler(ProblemError, raised)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def respond(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    kind: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """A problem as a response to `request`."""
    problem = Problem(
        type=kind, title=status.phrase, status=status, detail=detail, instance=request.url.path, errors=errors
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status_code=status, headers=headers, media_type=MEDIA_TYPE
    )


def field_error(error: Mapping[str, Any]) -> dict[str, str]:
    """A validation error and its place in the body, a JSON pointer as a URI fragment (RFC 6901), `#/queries/3`."""
    if error["type"] == "json_invalid":
        return {"pointer": "#", "detail": f"not valid JSON: {error['ctx']['error']}"}
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"][1:])
    pointer = "".join("/" + quote(part) for part in parts)
    return {"pointer": f"#{pointer}", "detail": error["msg"]}


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of responses that are problems."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}

"""What the OpenAPI document says of every endpoint of a kind."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from services.search_api.web.guard import KEY_HEADER
from services.search_api.web.intake import TIMEOUT_HEADER

CHEAP = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""How any request can fail."""
COSTLY = (*CHEAP, HTTPStatus.TOO_MANY_REQUESTS)
"""How one can fail that needs a place among those being worked on."""

TIMEOUT_PARAMETER = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "required": False,
    "description": "Seconds after which the answer is of no use: then 504, and the work is given up.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


def declare_keys(app: FastAPI, open_paths: frozenset[str]) -> None:
    """Say in the OpenAPI document which endpoints need a key."""
    generate = app.openapi

    def with_keys() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {})["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path in open_paths else [{"bearer": []}, {"header": []}]
        return document

    app.openapi = with_keys  # type: ignore[method-assign]

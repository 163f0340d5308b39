"""Answers as bytes at once: they are made by our own models and need no second validation."""

from __future__ import annotations

from fastapi import Response
from pydantic import BaseModel

VERSION_HEADER = "X-Ance-Index-Version"


def json_response(body: BaseModel, version: int | None = None) -> Response:
    """A body, without what is absent in it.

    Args:
        version: the index that answered, for the header.
    """
    headers = {} if version is None else {VERSION_HEADER: str(version)}
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json", headers=headers)

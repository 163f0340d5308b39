"""What the corpus holds: its documents, and queries to begin with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from ance.data.texts import Texts
from services.search_api.models.documents import Document
from services.search_api.models.examples import Examples
from services.search_api.service import SearchService
from services.search_api.web.openapi import CHEAP
from services.search_api.web.problems import UNKNOWN_DOCUMENT, ProblemError, documented


def router(service: SearchService) -> APIRouter:
    """/v1/documents and /v1/examples."""
    routes = APIRouter(tags=["data"], responses=documented(*CHEAP))

    @routes.get("/v1/documents/{document_id:path}", responses=documented(HTTPStatus.NOT_FOUND))
    async def document(
        document_id: Annotated[str, Path(description="The id as it stands in hits; it may hold slashes.")],
    ) -> Document:
        """A passage by its id."""

        def read(passages: Texts) -> Document | None:
            row = int(passages.rows_of([document_id])[0])
            return None if row < 0 else Document(id=document_id, **passages.documents[row])

        found = await service.pipeline.read(read)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, UNKNOWN_DOCUMENT, "No document has this id.")
        return found

    @routes.get("/v1/examples")
    async def examples() -> Examples:
        """A few queries that fit this corpus."""
        return Examples(queries=service.corpus.examples())

    return routes

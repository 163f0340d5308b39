"""Bodies of Cohere's and Jina's reranking endpoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from services.search_api.models.base import MAX_DOCUMENTS, MAX_TEXT, Body, Text, Whole


class TextDocument(Body):
    """A document as Jina has it."""

    text: Text


class RerankRequest(Body):
    """Documents to rank for a query. Other fields of either service are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: Text = ""
    """Any: there is one cross-encoder."""
    query: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    documents: Annotated[tuple[Text | TextDocument, ...], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Field(strict=True, ge=1), Whole] | SkipJsonSchema[None] = None
    """Results to return (absent: all)."""
    return_documents: Annotated[bool, Field(strict=True)] = False

    @property
    def texts(self) -> list[str]:
        """The documents' texts."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class Rank(Body):
    """A document and its relevance."""

    index: int
    """Position in the request."""
    relevance_score: Annotated[float, Field(ge=0, le=1)]
    """Sigmoid of the logit."""
    document: TextDocument | None = None


class RerankResponse(Body):
    """The documents, best first."""

    id: str
    """Of the request, as in its header X-Request-Id."""
    model: str
    results: tuple[Rank, ...]

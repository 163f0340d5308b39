"""Bodies of a comparison."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from services.search_api.models.base import Body, QueryText, TopK
from services.search_api.models.search import CANDIDATES, SearchResponse


class CompareRequest(Body):
    """One query, answered by the index and by BM25 with the cross-encoder."""

    query: QueryText
    top_k: TopK = 10
    """Passages to return from each."""
    candidates: TopK = CANDIDATES
    """First passages of BM25 that the cross-encoder reads; at least `top_k` are taken."""


class Overlap(Body):
    """What both found."""

    count: NonNegativeInt
    """Passages that are in both lists."""
    ratio: Annotated[float, Field(ge=0, le=1)]
    """Of the longer list."""
    ids: tuple[str, ...]
    """In the order of the dense list."""


class CompareResponse(Body):
    """Both answers. They ran one after the other, so that neither slows the other down."""

    dense: SearchResponse
    rerank: SearchResponse
    overlap: Overlap
    speed_up: NonNegativeFloat
    """Seconds of reranking over seconds of dense search, of this query."""

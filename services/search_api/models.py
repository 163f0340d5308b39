"""The bodies of the search API: what a client sends and what it gets back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_QUERIES = 128
MAX_TOP_K = 1000

QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]


class Body(BaseModel):
    """Base of the bodies: the docstring under a field is its description in the OpenAPI document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SearchRequest(Body):
    """One query or several, answered from one index version."""

    query: QueryText | None = None
    """One query. Give either this or `queries`."""
    queries: Annotated[tuple[QueryText, ...], Field(min_length=1, max_length=MAX_QUERIES)] | None = None
    """Several queries, answered in this order."""
    top_k: int = Field(default=10, ge=1, le=MAX_TOP_K)
    """Passages to return for each query."""

    @model_validator(mode="after")
    def _one_form(self) -> SearchRequest:
        if (self.query is None) == (self.queries is None):
            raise PydanticCustomError("one_query_form", "give exactly one of 'query' and 'queries'")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """The queries to answer, whichever field they came in."""
        if self.queries is not None:
            return self.queries
        return (self.query,) if self.query is not None else ()


class Hit(Body):
    """A passage that answers a query."""

    id: str
    """The passage's id in the data set."""
    score: float
    """Inner product of the query's and the passage's vectors."""
    title: str
    text: str


class QueryResult(Body):
    """The answer to one query."""

    hits: tuple[Hit, ...]
    """Best first; fewer than `top_k` when the index is smaller."""


class IndexInfo(Body):
    """The version that answered: encoder, index and documents are all of it."""

    version: NonNegativeInt
    checkpoint_step: NonNegativeInt
    """Trainer step of the checkpoint that encoded the index and the queries."""
    created_at: datetime
    """When the index was published, in UTC."""
    age_seconds: NonNegativeFloat


class Timings(Body):
    """Where the time went, in seconds."""

    queue: NonNegativeFloat
    """Waiting for the worker."""
    encode: NonNegativeFloat
    """Queries to vectors."""
    search: NonNegativeFloat
    """Nearest neighbours in the index."""
    fetch: NonNegativeFloat
    """Ids, titles and texts of the hits."""
    total: NonNegativeFloat
    """From the arrival of the parsed request to the finished results."""


class SearchResponse(Body):
    """The results, one for each query in the order of the request."""

    results: tuple[QueryResult, ...]
    index: IndexInfo
    timings: Timings

"""Bodies of a search."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from services.search_api.models.base import MAX_QUERIES, Body, IndexInfo, Mode, QueryText, RerankerInfo, TopK

FieldName = Literal["title", "text"]
FIELDS: tuple[FieldName, ...] = ("title", "text")
CANDIDATES = 100

Ids = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]


def _either_query_or_queries(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["query"]}, {"required": ["queries"]}]


class Filter(Body):
    """Which passages may be found. Ids that the data set does not have change nothing."""

    ids: Ids | SkipJsonSchema[None] = None
    """Only these passages."""
    exclude_ids: Ids | SkipJsonSchema[None] = None
    """Not these passages."""


class Options(Body):
    """How to search."""

    top_k: TopK = 10
    """Passages to return for each query."""
    mode: Mode = "dense"
    """`dense`: nearest in the ANCE index. `bm25`: sparse. `rerank`: a cross-encoder reads the first of BM25.
    `hybrid`: dense and BM25, fused by reciprocal ranks."""
    candidates: TopK = CANDIDATES
    """First passages of BM25 (and of the index) that `rerank` reads or `hybrid` fuses; at least `top_k` are taken."""
    filter: Filter | SkipJsonSchema[None] = None
    """Which passages may be found."""
    fields: Annotated[tuple[FieldName, ...], Field(max_length=2)] = FIELDS
    """Parts of the documents to return."""


class SearchRequest(Options):
    """One query or several, answered from one index version."""

    model_config = ConfigDict(json_schema_extra=_either_query_or_queries)

    query: QueryText | SkipJsonSchema[None] = None
    """One query. Give either this or `queries`."""
    queries: Annotated[tuple[QueryText, ...], Field(min_length=1, max_length=MAX_QUERIES)] | SkipJsonSchema[None] = None
    """Several queries, answered in this order."""

    @model_validator(mode="after")
    def _one_form(self) -> SearchRequest:
        given = [name for name in ("query", "queries") if name in self.model_fields_set]
        if len(given) != 1 or getattr(self, given[0]) is None:
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
    """Inner product of the vectors (dense), BM25, the cross-encoder's logit, or the sum of reciprocal ranks."""
    title: str | None = None
    """Absent if it was not asked for."""
    text: str | None = None
    """Absent if it was not asked for."""


class QueryResult(Body):
    """The answer to one query."""

    hits: tuple[Hit, ...]
    """Best first; fewer than `top_k` when fewer are found."""


class Timings(Body):
    """Where the time went, in seconds. What a mode does not do is 0; the rest sums up to the total."""

    queue: NonNegativeFloat
    """Waiting for a worker."""
    encode: NonNegativeFloat = 0.0
    """Queries to vectors."""
    search: NonNegativeFloat = 0.0
    """The index, BM25, or both."""
    rerank: NonNegativeFloat = 0.0
    """The cross-encoder."""
    fetch: NonNegativeFloat
    """Ids, titles and texts of the hits."""
    total: NonNegativeFloat
    """From the arrival of the parsed request to the finished results."""


class SearchResponse(Body):
    """The results, one for each query in the order of the request."""

    mode: Mode
    results: tuple[QueryResult, ...]
    index: IndexInfo | None = None
    """Absent where no index was asked: BM25 and reranking know no versions of it."""
    reranker: RerankerInfo | None = None
    """The cross-encoder, where one was asked."""
    timings: Timings

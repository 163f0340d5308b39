"""What the bodies share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, StringConstraints

MAX_QUERIES = 128
MAX_TOP_K = 1000
MAX_TEXT = 10_000
MAX_DOCUMENT = 100_000
MAX_DOCUMENTS = 1000

Mode = Literal["dense", "bm25", "rerank", "hybrid"]
"""`dense`: nearest passages in the ANCE index. `bm25`: sparse. `rerank`: a cross-encoder reads the first of BM25.
`hybrid`: dense and BM25, fused by reciprocal ranks."""


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is as good as 3. A string or a truth value is neither."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)

Text = Annotated[str, StringConstraints(max_length=MAX_DOCUMENT)]
QueryText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
TopK = Annotated[int, Field(strict=True, ge=1, le=MAX_TOP_K), Whole]


class Body(BaseModel):
    """Base of the bodies: the docstring under a field is its description in the OpenAPI document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class IndexInfo(Body):
    """The version that answered: encoder, index and documents are all of it."""

    version: NonNegativeInt
    checkpoint_step: NonNegativeInt
    """Trainer step of the checkpoint that encoded the index and the queries."""
    created_at: str
    """When the index was published, in UTC."""
    age_seconds: NonNegativeFloat


class RerankerInfo(Body):
    """The cross-encoder that scored."""

    step: NonNegativeInt
    """Trainer step of the negatives that it was trained on."""
    created_at: str
    """When it was published, in UTC."""

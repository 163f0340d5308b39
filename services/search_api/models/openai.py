"""Bodies of OpenAI's embeddings endpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from services.search_api.models.base import MAX_DOCUMENT, MAX_QUERIES, Body, Text, Whole

NonEmptyText = Annotated[str, Field(min_length=1, max_length=MAX_DOCUMENT)]


class EmbeddingsRequest(Body):
    """Texts to encode. Fields that OpenAI has and we do not know are ignored."""

    model_config = ConfigDict(extra="ignore")

    input: NonEmptyText | Annotated[tuple[NonEmptyText, ...], Field(min_length=1, max_length=MAX_QUERIES)]
    """One text or several. Tokens instead of text are not accepted: they would be of another vocabulary."""
    model: Text = ""
    """Any: there is one encoder."""
    encoding_format: Literal["float", "base64"] = "float"
    """`base64`: little-endian float32."""
    dimensions: Annotated[int, Field(strict=True, ge=1), Whole] | SkipJsonSchema[None] = None
    """Must be the encoder's width where it is given."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, whichever form they came in."""
        return (self.input,) if isinstance(self.input, str) else self.input


class Embedding(Body):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: tuple[float, ...] | str


class Usage(Body):
    """Tokens encoded."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(Body):
    """A vector for each text, in order."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    usage: Usage

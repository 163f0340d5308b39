"""Bodies of Hugging Face's text-embeddings-inference (TEI)."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, RootModel

from services.search_api.models.base import MAX_DOCUMENT, MAX_DOCUMENTS, MAX_QUERIES, MAX_TEXT, Body, Text

NonEmptyText = Annotated[str, Field(min_length=1, max_length=MAX_DOCUMENT)]


class EmbedRequest(Body):
    """Texts to encode. Other fields of TEI are ignored: texts are always cut to the encoder's limit."""

    model_config = ConfigDict(extra="ignore")

    inputs: NonEmptyText | Annotated[tuple[NonEmptyText, ...], Field(min_length=1, max_length=MAX_QUERIES)]
    normalize: Annotated[bool, Field(strict=True)] = True
    """Scale vectors to unit length, as TEI does. Search uses them as they are: false."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts, whichever form they came in."""
        return (self.inputs,) if isinstance(self.inputs, str) else self.inputs


class EmbedResponse(RootModel[tuple[tuple[float, ...], ...]]):
    """A vector for each text, in order."""


class TeiRerankRequest(Body):
    """Texts to score for a query. Other fields of TEI are ignored."""

    model_config = ConfigDict(extra="ignore")

    query: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    texts: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_DOCUMENTS)]
    raw_scores: Annotated[bool, Field(strict=True)] = False
    """Logits instead of their sigmoid."""
    return_text: Annotated[bool, Field(strict=True)] = False


class TeiRank(Body):
    """A text and its score."""

    index: int
    score: float
    text: str | None = None


class TeiRerankResponse(RootModel[tuple[TeiRank, ...]]):
    """The texts, best first."""


class TeiInfo(Body):
    """What runs here."""

    model_id: str
    model_type: dict[str, dict[str, str]]
    max_input_length: int
    max_client_batch_size: int
    max_concurrent_requests: int
    version: str

"""The records of a retrieval data set, and the protocol by which a source of them is read."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Passage(NamedTuple):
    """A text to be found."""

    id: str
    title: str
    text: str
    parts: tuple[str, ...] = ()
    """What an encoder reads, part by part with the tokenizer's separator between (none: `full_text` as it is)."""

    @property
    def full_text(self) -> str:
        """Title and text, separated by a space: what BM25 indexes, and what is encoded where there are no parts."""
        return f"{self.title} {self.text}".strip()

    @property
    def encoded_parts(self) -> tuple[str, ...]:
        """What an encoder reads, at least one part."""
        # transformers 2, which the original ANCE pins, splits a text at its separators and strips what is between them:
        # white space around one would be tokens of its own in RoBERTa.
        return tuple(part.strip() for part in self.parts) or (self.full_text,)


class Query(NamedTuple):
    """A text to search with."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    """What answers the query, where the source knows (open-domain question answering)."""


class Wording(NamedTuple):
    """Stands for a text where a file repeats what it says instead of naming its id."""

    text: str
    title: str = ""


Reference = str | Wording
"""A text by its id, or by what it says."""


class Judgement(NamedTuple):
    """How relevant a passage is to a query. Grade 1 and above is relevant, 0 is judged as not relevant."""

    query_id: str
    passage: Reference
    grade: int


class Candidate(NamedTuple):
    """A passage that some system found for a query, relevant or not: to be re-ranked, or a negative to train on."""

    query: Reference
    passage: Reference


class Located(NamedTuple, Generic[T]):
    """A record and where a person finds it, e.g. `corpus.jsonl:17`."""

    record: T
    where: str


class Reason(StrEnum):
    """Why a record cannot be used."""

    MALFORMED = "malformed"
    EMPTY_TEXT = "empty text"
    DUPLICATE_ID = "duplicate id"
    REPEATED_JUDGEMENT = "repeated judgement"
    """Of the same grade: it says nothing new."""
    CONTRADICTORY_JUDGEMENT = "contradictory judgement"
    UNKNOWN_QUERY = "unknown query"
    UNKNOWN_PASSAGE = "unknown passage"


class Invalid(NamedTuple):
    """A record that could not be used, why, and where a person finds it."""

    reason: Reason
    where: str
    detail: str


class Source(Protocol):
    """Where a data set comes from; sources derive from it. Every iterator streams, and may be asked for again.

    A record that cannot be read is yielded as `Invalid`, so that the reader decides whether it stops there.
    """

    @property
    def name(self) -> str:
        """A name for the data set, fit for a folder."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the records were made from, as JSON values; known once all has been read."""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, e.g. ("train", "dev", "test")."""

    def passages(self) -> Iterator[Located[Passage] | Invalid]:
        """The corpus."""

    def queries(self, split: str) -> Iterator[Located[Query] | Invalid]:
        """At least the queries of the split; of a judged split, those without a judgement are left out later."""

    def judgements(self, split: str) -> Iterator[Located[Judgement] | Invalid]:
        """All judgements of the split."""

    def is_judged(self, split: str) -> bool:
        """Whether the split has judgements. One that has none is of queries with answers, all of which are kept."""
        return True

    def candidates(self, split: str) -> Iterator[Located[Candidate] | Invalid]:
        """Passages that the source gives for the queries of the split, those of a query best first; often none."""
        return iter(())

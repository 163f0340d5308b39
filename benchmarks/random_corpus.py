"""A corpus of random words as a source of `prepare`: any size, streamed, the same every time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ance.data.records import Invalid, Judgement, Located, Passage, Query, Source

WORDS_A_PASSAGE = 16
WORDS_A_QUERY = 4
BLOCK = 1_000
"""Passages that are drawn at once."""


def words_of(model: Path) -> list[str]:
    """The words that are one token each, of a model folder with a WordPiece tokenizer."""
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(word for word in vocabulary if word.isascii() and word.isalpha())


@dataclass(frozen=True, slots=True)
class RandomCorpus(Source):
    """Passages of random words, and queries that are the first words of passages at even distances."""

    rows: int
    queries_by_split: Mapping[str, int]
    words: Sequence[str]

    @property
    def name(self) -> str:
        """Of the data set."""
        return f"random-{self.rows}"

    @property
    def provenance(self) -> dict[str, Any]:
        """How to make it again."""
        return {"rows": self.rows, "words": len(self.words)}

    def splits(self) -> tuple[str, ...]:
        """Of the queries."""
        return tuple(self.queries_by_split)

    def passages(self) -> Iterator[Located[Passage] | Invalid]:
        """The corpus, a block at a time."""
        for start in range(0, self.rows, BLOCK):
            for row, drawn in enumerate(self._drawn(start).tolist()[: self.rows - start], start):
                yield Located(Passage(f"p{row}", "", self._text(drawn)), f"row {row}")

    def queries(self, split: str) -> Iterator[Located[Query] | Invalid]:
        """One for each judgement."""
        for number, row in enumerate(self._judged(split)):
            drawn = self._drawn(row - row % BLOCK)[row % BLOCK, :WORDS_A_QUERY].tolist()
            yield Located(Query(f"{split}{number}", self._text(drawn)), f"{split} {number}")

    def judgements(self, split: str) -> Iterator[Located[Judgement] | Invalid]:
        """The passage that a query is the beginning of."""
        for number, row in enumerate(self._judged(split)):
            yield Located(Judgement(f"{split}{number}", f"p{row}", 1), f"{split} {number}")

    def _judged(self, split: str) -> list[int]:
        rows: list[int] = np.linspace(0, self.rows - 1, self.queries_by_split[split]).astype(int).tolist()
        return rows

    def _drawn(self, start: int) -> NDArray[np.int64]:
        """Numbers of the words of a block: int64 [BLOCK, WORDS_A_PASSAGE]."""
        return np.random.default_rng([7, start]).integers(0, len(self.words), (BLOCK, WORDS_A_PASSAGE))

    def _text(self, drawn: list[int]) -> str:
        return " ".join([self.words[word] for word in drawn])

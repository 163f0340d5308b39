"""BM25, the sparse baseline and the source of the warm-up's negatives."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.analyser import english_analyser
from ance.retrieval.rank_keys import NO_PASSAGE, complement, rank_keys, rows_of, scores_of

K1 = 0.9
B = 0.4


class BM25:
    """Lucene's variant of BM25 (Kamphuis et al., ECIR 2020) with k1 = 0.9 and b = 0.4, over English terms."""

    def __init__(self, scorer: bm25s.BM25) -> None:
        self._scorer = scorer
        self._complements = complement(np.arange(self.size))

    @classmethod
    def build(cls, texts: Iterable[str]) -> BM25:
        """Index passages in row order. Texts are read once; 4 bytes a term are held, not the texts.

        Raises:
            AnceError: there is no term in any text.
        """
        analyse = english_analyser()
        vocabulary: dict[str, int] = {}
        passages = [
            array("i", [vocabulary.setdefault(term, len(vocabulary)) for term in analyse(text)]) for text in texts
        ]
        if not vocabulary:
            raise AnceError(f"BM25: none of the {len(passages)} passages has a word to index")
        scorer = bm25s.BM25(k1=K1, b=B, method="lucene")
        scorer.index((passages, vocabulary), create_empty_token=False, show_progress=False)
        return cls(scorer)

    @classmethod
    def open(cls, folder: Path) -> BM25:
        """Map what `save` wrote.

        Raises:
            AnceError: a file is missing or damaged.
        """
        try:
            return cls(bm25s.BM25.load(folder, mmap=True, show_progress=False))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise AnceError(f"{folder}: cannot read the BM25 index, build it again: {error}") from error

    def save(self, folder: Path) -> None:
        """Write the postings as .npy files, and the vocabulary and the parameters as JSON."""
        self._scorer.save(folder, show_progress=False)

    @property
    def size(self) -> int:
        """Number of passages."""
        return int(self._scorer.scores["num_docs"])

    def search(
        self, texts: Sequence[str], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The passages with the highest scores for each query.

        Args:
            texts: n queries.
            k: passages to return for a query.
            allowed: passages that may be found, bool [passages] (None: all).

        Returns:
            Passage rows int64 [n, k] and scores float32 [n, k], best first, equal scores by the smaller row. Only
            passages that share a term with the query are found; the rest is -1 and -inf.
        """
        analyse = english_analyser()
        keys = np.full((len(texts), k), NO_PASSAGE)
        for line, text in zip(keys, texts, strict=True):
            terms = self._scorer.get_tokens_ids(analyse(text))
            scores = self._scorer.get_scores_from_ids(terms)
            found = np.flatnonzero(scores if allowed is None else scores * allowed)
            best = rank_keys(scores[found], self._complements[found])
            if len(best) > k:
                best = np.partition(best, len(best) - k)[len(best) - k :]
            line[: len(best)] = np.sort(best)[::-1]
        return rows_of(keys), scores_of(keys)

    def scores(self, texts: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The scores that `search` would rank some passages with, in time that does not grow with the corpus.

        Args:
            texts: n queries.
            rows: p passages, int64, in any order.

        Returns:
            float32 [n, p]; 0 where a passage shares no term with the query.
        """
        analyse, postings = english_analyser(), self._scorer.scores
        found = np.zeros((len(texts), len(rows)), np.float32)
        for line, text in zip(found, texts, strict=True):
            for term in self._scorer.get_tokens_ids(analyse(text)):
                # Passages of a term are in row order, as they were indexed.
                first, last = postings["indptr"][term : term + 2]
                passages = postings["indices"][first:last]
                place = np.minimum(np.searchsorted(passages, rows), len(passages) - 1)
                line += np.where(passages[place] == rows, postings["data"][first:last][place], 0)
        return found

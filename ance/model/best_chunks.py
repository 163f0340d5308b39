"""How queries see given passages under MaxP: by their best chunks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ance.data.ragged import Ragged
from ance.model.chunks import Chunking
from ance.model.encoding import TextEncoder


def passage_scores(
    encoder: TextEncoder, chunking: Chunking, queries: NDArray[np.float32], passages: Ragged, max_tokens: int
) -> NDArray[np.float32]:
    """Score of every passage for every query.

    Args:
        queries: their vectors, float32 [q, D].
        passages: content tokens of p passages.
        max_tokens: longest chunk, special tokens included.

    Returns:
        float32 [q, p].
    """
    chunks, counts = chunking.split(passages), chunking.counts(passages)
    scores = queries @ encoder.encode_rows(chunks, 0, len(chunks), max_tokens).T  # (queries, chunks)
    best: NDArray[np.float32] = np.maximum.reduceat(scores, np.cumsum(counts) - counts, axis=1)
    return best


def best_chunks(
    encoder: TextEncoder, chunking: Chunking, queries: NDArray[np.float32], passages: Ragged, max_tokens: int
) -> Ragged:
    """The chunk of each passage that scores best for its query: the gradient of the maximum is its gradient.

    Args:
        queries: float32 [n, D], the vector of each passage's query.
        passages: content tokens of n passages.
        max_tokens: longest chunk, special tokens included.

    Returns:
        n chunks.
    """
    chunks, owners = chunking.split(passages), chunking.owners(passages)
    vectors = encoder.encode_rows(chunks, 0, len(chunks), max_tokens)
    scores = np.einsum("cd,cd->c", queries[owners], vectors)
    best_last = np.lexsort((scores, owners))
    return chunks.take(best_last[np.cumsum(chunking.counts(passages)) - 1])

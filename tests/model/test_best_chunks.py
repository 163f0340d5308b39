"""Passages as queries see them under MaxP."""

from __future__ import annotations

import numpy as np
import pytest

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.best_chunks import best_chunks, passage_scores
from ance.model.chunks import FIRST_P, Chunking
from ance.model.encoding import TextEncoder
from tests.model.conftest import Start

CHUNKING = Chunking(content=8, most=3)
LIMIT = 10


@pytest.fixture
def encoder(start: Start) -> TextEncoder:
    return TextEncoder(start("bert", pooling="mean"), SpecialTokens((1,), (2,), 0))


def by_hand(encoder: TextEncoder, passages: Ragged, row: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Content and vector of each chunk of a passage."""
    content = passages[row]
    chunks = [content[start : start + 8] for start in range(0, max(1, min(len(content), 24)), 8)]
    alone = Ragged(np.concatenate(chunks), np.cumsum([0, *map(len, chunks)]))
    return chunks, encoder.encode_rows(alone, 0, len(alone), LIMIT)


def test_a_passage_scores_as_its_best_chunk(encoder: TextEncoder, tokens: Ragged) -> None:
    queries = np.random.default_rng(1).standard_normal((5, encoder.dim)).astype(np.float32)
    scores = passage_scores(encoder, CHUNKING, queries, tokens, LIMIT)
    for row in range(len(tokens)):
        _, vectors = by_hand(encoder, tokens, row)
        np.testing.assert_allclose(scores[:, row], (queries @ vectors.T).max(1), atol=1e-4)


def test_the_best_chunk_of_each_is_found(encoder: TextEncoder, tokens: Ragged) -> None:
    queries = np.random.default_rng(2).standard_normal((len(tokens), encoder.dim)).astype(np.float32)
    best = best_chunks(encoder, CHUNKING, queries, tokens, LIMIT)
    assert len(best) == len(tokens)
    taken = set()
    for row in range(len(tokens)):
        chunks, vectors = by_hand(encoder, tokens, row)
        number = int((vectors @ queries[row]).argmax())
        taken.add(number)
        assert best[row][:8].tolist() == chunks[number].tolist()
    assert taken == {0, 1, 2}


def test_one_chunk_each_is_the_passage(encoder: TextEncoder, tokens: Ragged) -> None:
    queries = np.ones((len(tokens), encoder.dim), np.float32)
    best = best_chunks(encoder, FIRST_P, queries, tokens, LIMIT)
    assert all(best[row].tolist() == tokens[row].tolist() for row in range(len(tokens)))

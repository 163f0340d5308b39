"""Where MaxP cuts passages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.batching import collate
from ance.model.chunks import Chunking
from ance.model.config import ModelConfig

SPECIAL = SpecialTokens((101,), (102,), 0)


def passages(lengths: list[int]) -> Ragged:
    return Ragged(np.arange(sum(lengths), dtype=np.uint16), np.cumsum([0, *lengths]))


def as_read(chunks: Ragged, max_tokens: int) -> list[list[int]]:
    """The content of each chunk as the model gets it."""
    ids, mask = collate(chunks, np.arange(len(chunks)), SPECIAL, max_tokens)
    return [row[seen.bool()].tolist()[1:-1] for row, seen in zip(ids, mask, strict=True)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 8), st.integers(1, 5))
def test_chunks_are_consecutive_disjoint_and_never_empty_but_for_an_empty_passage(
    lengths: list[int], content: int, most: int
) -> None:
    texts, chunking = passages(lengths), Chunking(content, most)
    chunks, counts = as_read(chunking.split(texts), content + 2), chunking.counts(texts)
    assert len(chunks) == counts.sum()
    edges = np.cumsum([0, *counts])
    for row, length in enumerate(lengths):
        own = chunks[edges[row] : edges[row + 1]]
        assert [token for chunk in own for token in chunk] == texts[row][: content * most].tolist()
        assert all(len(chunk) == content for chunk in own[:-1])
        assert all(own) or (length == 0 and own == [[]])


def test_one_chunk_is_the_same_object_so_firstp_costs_nothing() -> None:
    texts = passages([3, 0, 9])
    assert Chunking(4, 1).split(texts) is texts
    assert Chunking(4, 1).counts(texts).tolist() == [1, 1, 1]


def test_chunks_share_the_memory_of_the_passages() -> None:
    texts = passages([9, 9])
    assert Chunking(4, 4).split(texts).flat is texts.flat


@pytest.mark.parametrize(("max_tokens", "content"), [(512, 510), (3, 1)])
def test_special_tokens_are_the_chunks_own(max_tokens: int, content: int) -> None:
    model = ModelConfig(name_or_path="x", max_passage_tokens=max_tokens, max_chunks=4)
    assert Chunking.of(model, SPECIAL) == Chunking(content, 4)

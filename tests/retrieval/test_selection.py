from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ance.errors import AnceError
from ance.retrieval.bm25 import BM25
from ance.retrieval.index import IndexBuilder, PassageIndex

PASSAGES, DIM = 300, 16


def unit_vectors(seed: int, count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def build(folder: Path, factory: str) -> tuple[PassageIndex, NDArray[np.float32]]:
    """An index whose positions are not the passage rows."""
    vectors = unit_vectors(1, PASSAGES)
    rows = np.random.default_rng(2).permutation(PASSAGES)
    builder = IndexBuilder(factory, DIM, PASSAGES)
    builder.add(vectors[rows], rows)
    builder.finish(folder)
    return PassageIndex.open(folder, "nprobe=4" if "IVF" in factory else ""), vectors


@pytest.mark.parametrize("factory", ["Flat", "HNSW16", "SQ8", "IVF4,Flat", "IVF4,SQ8", "PCA8,Flat", "Flat,RFlat"])
def test_only_allowed_passages_are_found(tmp_path: Path, factory: str) -> None:
    index, _ = build(tmp_path, factory)
    allowed = np.arange(PASSAGES) % 7 == 0
    rows, scores = index.search(unit_vectors(3, 5), 10, allowed)
    assert (rows >= 0).all() and allowed[rows].all()
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat"])
def test_they_are_those_of_exact_search_among_them(tmp_path: Path, factory: str) -> None:
    index, vectors = build(tmp_path, factory)
    queries, allowed = unit_vectors(3, 5), np.arange(PASSAGES) % 7 == 0
    rows, _ = index.search(queries, 10, allowed)
    scores = np.where(allowed, queries @ vectors.T, -np.inf)
    assert rows.tolist() == np.argsort(-scores, axis=1)[:, :10].tolist()


def test_fewer_allowed_than_asked_for_are_padded(tmp_path: Path) -> None:
    index, _ = build(tmp_path, "Flat")
    allowed = np.zeros(PASSAGES, bool)
    allowed[[3, 5]] = True
    rows, scores = index.search(unit_vectors(3, 1), 4, allowed)
    assert sorted(rows[0, :2].tolist()) == [3, 5] and rows[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(scores[0, 2:]).all()


def test_an_index_that_cannot_be_searched_in_part_says_so(tmp_path: Path) -> None:
    index, _ = build(tmp_path, "PQ4x4")
    with pytest.raises(AnceError, match="IndexPQ cannot be searched in part"):
        index.search(unit_vectors(3, 1), 4, np.ones(PASSAGES, bool))


def test_bm25_finds_only_allowed_passages() -> None:
    bm25 = BM25.build(["red apple", "red pear", "green apple", "red plum"])
    everything, _ = bm25.search(["red"], 4)
    some, scores = bm25.search(["red"], 4, np.array([True, False, True, True]))
    assert sorted(everything[0].tolist()) == [-1, 0, 1, 3]
    assert sorted(some[0].tolist()) == [-1, -1, 0, 3] and np.isneginf(scores[0, 2:]).all()

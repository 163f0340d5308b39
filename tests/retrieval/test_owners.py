"""Passages from rankings of vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.retrieval import owners as owners_module
from ance.retrieval.index import IndexBuilder, PassageIndex
from ance.retrieval.owners import Owners, first_of_each

DIM = 8


def integers(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Vectors of small integers, whose products are exact."""
    return rng.integers(-9, 10, (rows, DIM)).astype(np.float32)


def best_of_each(queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The definition of MaxP: float32 [queries, passages], the best inner product of each passage."""
    scores = queries @ vectors.T
    return np.stack([scores[:, rows == row].max(1) for row in range(rows.max() + 1)], axis=1)


def build(folder: Path, vectors: np.ndarray, rows: np.ndarray, factory: str = "Flat") -> Path:
    """Two shards, the second first, cut between two passages."""
    builder = IndexBuilder(factory, DIM, 1000)
    middle = int(np.searchsorted(rows, rows[len(rows) // 2]))
    builder.add(vectors[middle:], rows[middle:])
    builder.add(vectors[:middle], rows[:middle])
    builder.finish(folder)
    return folder


def test_owners_count_passages_and_the_vectors_of_the_largest() -> None:
    for rows, passages, most in (([], 0, 1), ([4], 1, 1), ([2, 1, 0], 3, 1), ([3, 3, 0, 7, 7, 7, 1], 4, 3)):
        owners = Owners(np.array(rows, np.int64))
        assert (owners.passages, owners.most) == (passages, most)
    assert Owners(np.array([5, 5, 5, 5])).most == 4
    assert Owners(np.array([0, 5, 5])).most == 2


@given(seed=st.integers(0, 2**32 - 1), passages=st.integers(1, 30), most=st.integers(1, 5), k=st.integers(1, 35))
@settings(max_examples=80, deadline=None)
def test_k_passages_come_back_however_their_chunks_rank(
    tmp_path_factory: pytest.TempPathFactory, seed: int, passages: int, most: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(passages), rng.integers(1, most + 1, passages))
    vectors, queries = integers(rng, len(rows)), integers(rng, 5)
    # One passage whose every vector outranks all others, which is what used to use up the places.
    vectors[rows == 0] = 99 * np.sign(queries[0])

    index = PassageIndex.open(build(tmp_path_factory.mktemp("index"), vectors, rows))
    found, scores = index.search(queries, k)

    expected = best_of_each(queries, vectors, rows)
    assert index.size == passages
    assert found.shape == scores.shape == (5, min(k, passages))
    assert all(len(set(ranking)) == len(ranking) and min(ranking) >= 0 for ranking in found.tolist())
    np.testing.assert_array_equal(scores, -np.sort(-expected, axis=1)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(expected, found, 1), scores)


def test_the_worst_case_needs_the_whole_depth_and_no_more() -> None:
    """Every vector of the first k - 1 passages ranks above the k-th passage."""
    rows = np.repeat(np.arange(6), 4)
    vectors = np.repeat(np.arange(24, 0, -1, dtype=np.float32)[:, None], DIM, axis=1)
    builder = IndexBuilder("Flat", DIM, 10)
    builder.add(vectors, rows)
    found, scores = builder.search(np.ones((1, DIM), np.float32), 5)
    assert found.tolist() == [[0, 1, 2, 3, 4]]
    assert scores.tolist() == [[192.0, 160.0, 128.0, 96.0, 64.0]]


def test_a_passage_is_allowed_with_all_its_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = np.repeat(np.arange(20), 3)
    vectors, queries = integers(rng, 60), integers(rng, 4)
    allowed = np.zeros(20, np.bool_)
    allowed[[3, 8, 9]] = True
    found, scores = PassageIndex.open(build(tmp_path, vectors, rows)).search(queries, 5, allowed)
    assert [sorted(ranking[:3]) for ranking in found.tolist()] == [[3, 8, 9]] * 4
    assert (found[:, 3:] == -1).all() and np.isneginf(scores[:, 3:]).all()
    expected = np.take_along_axis(best_of_each(queries, vectors, rows), found[:, :3], 1)
    np.testing.assert_array_equal(scores[:, :3], expected)


def test_an_approximate_index_ranks_passages_once_and_pads_what_it_does_not_find(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = np.repeat(np.arange(100), 3)
    found, scores = PassageIndex.open(build(tmp_path, integers(rng, 300), rows, "IVF8,Flat")).search(
        integers(rng, 6), 100
    )
    for ranking, of_ranking in zip(found, scores, strict=True):
        real = ranking[ranking >= 0]
        assert 0 < len(real) < 100
        assert len(set(real.tolist())) == len(real)
        assert (ranking[len(real) :] == -1).all() and np.isneginf(of_ranking[len(real) :]).all()


def test_blocks_of_queries_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    rows = np.repeat(np.arange(30), 2)
    index, queries = PassageIndex.open(build(tmp_path, integers(rng, 60), rows)), integers(rng, 11)
    whole = index.search(queries, 7)
    monkeypatch.setattr(owners_module, "QUERY_BLOCK", 3)
    np.testing.assert_array_equal(index.search(queries, 7)[1], whole[1])


def test_the_first_of_each_is_the_best() -> None:
    rows = np.array([[7, 7, 2, 7, 0, 2, -1], [1, -1, -1, -1, -1, -1, -1]])
    scores = np.arange(14, 0, -1, dtype=np.float32).reshape(2, 7)
    found, of_found = first_of_each(rows, scores, 2)
    assert found.tolist() == [[7, 2], [1, -1]]
    assert of_found.tolist() == [[14.0, 12.0], [7.0, -np.inf]]

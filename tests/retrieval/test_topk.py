import tracemalloc
from itertools import pairwise

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.retrieval import topk
from ance.retrieval.topk import StreamingTopK


def integers(rng: np.random.Generator, rows: int, dim: int = 8) -> np.ndarray:
    """Vectors of small integers: products are exact in float32, and ties are many."""
    return rng.integers(-2, 3, (rows, dim)).astype(np.float32)


def exact(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The definition: all scores, sorted by score, then by row."""
    scores = queries @ vectors.T
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    missing = ((0, 0), (0, k - ids.shape[1]))
    return (
        np.pad(ids, missing, constant_values=-1),
        np.pad(np.take_along_axis(scores, ids, 1), missing, constant_values=-np.inf),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    passages=st.integers(0, 120),
    k=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 120), max_size=6),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_shards_in_any_order_give_the_exact_ranking(
    seed: int, passages: int, k: int, cuts: list[int], data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    queries, vectors = integers(rng, 7), integers(rng, passages)
    edges = sorted({0, passages, *(min(cut, passages) for cut in cuts)})
    shards = data.draw(st.permutations(list(pairwise(edges))))

    running = StreamingTopK(queries, k)
    for start, stop in shards:
        running.add(vectors[start:stop], np.arange(start, stop))
    ids, scores = running.result()

    expected_ids, expected_scores = exact(queries, vectors, k)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(scores, expected_scores)


def test_blocks_of_queries_and_passages_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    queries, vectors = integers(rng, 50), integers(rng, 300)
    monkeypatch.setattr(topk, "QUERY_BLOCK", 7)
    monkeypatch.setattr(topk, "PASSAGE_BLOCK", 11)

    running = StreamingTopK(queries, 20)
    running.add(vectors, np.arange(300))

    np.testing.assert_array_equal(running.result()[0], exact(queries, vectors, 20)[0])


def test_float_results_are_the_same_to_the_bit_in_every_arrival_order() -> None:
    rng = np.random.default_rng(2)
    queries = rng.standard_normal((600, 48), np.float32)
    vectors = rng.standard_normal((5000, 48), np.float32)
    shards = [np.arange(start, min(start + 700, 5000)) for start in range(0, 5000, 700)]
    results = []
    for order in (shards, shards[::-1]):
        running = StreamingTopK(queries, 30)
        for rows in order:
            running.add(vectors[rows], rows)
        results.append(running.result())

    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_it_finds_what_faiss_finds_on_the_whole_matrix() -> None:
    rng = np.random.default_rng(3)
    queries = rng.standard_normal((100, 48), np.float32)
    vectors = rng.standard_normal((5000, 48), np.float32)

    running = StreamingTopK(queries, 50)
    for start in range(0, 5000, 512):
        running.add(vectors[start : start + 512], np.arange(start, min(start + 512, 5000)))
    ids, scores = running.result()

    faiss_scores, faiss_ids = faiss.knn(queries, vectors, 50, metric=faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_allclose(scores, faiss_scores, rtol=1e-5)
    assert (ids == faiss_ids).mean() > 0.999


def test_memory_does_not_grow_with_the_corpus() -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((600, 256), np.float32)

    def peak(shards: int) -> int:
        top = StreamingTopK(queries, 20)
        tracemalloc.start()
        try:
            for shard in range(shards):
                top.add(rng.standard_normal((2048, 256), np.float32), np.arange(shard * 2048, (shard + 1) * 2048))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(40) < 1.1 * peak(4)


def test_results_can_be_read_before_the_last_shard() -> None:
    rng = np.random.default_rng(4)
    queries, vectors = integers(rng, 9), integers(rng, 60)
    running = StreamingTopK(queries, 10)

    running.add(vectors[:30], np.arange(30))
    np.testing.assert_array_equal(running.result()[0], exact(queries, vectors[:30], 10)[0])
    running.add(vectors[30:], np.arange(30, 60))
    np.testing.assert_array_equal(running.result()[0], exact(queries, vectors, 10)[0])


def test_no_queries_is_no_result() -> None:
    running = StreamingTopK(np.empty((0, 8), np.float32), 5)
    running.add(np.ones((3, 8), np.float32), np.arange(3))

    assert running.result()[0].shape == (0, 5)


def test_vectors_of_a_diverged_encoder_are_refused() -> None:
    bad = np.ones((4, 8), np.float32)
    bad[2, 5] = np.nan

    with pytest.raises(ValueError, match="1 of 4 query vectors are not finite"):
        StreamingTopK(bad, 5)
    with pytest.raises(ValueError, match="1 of 4 passage vectors are not finite"):
        StreamingTopK(np.ones((1, 8), np.float32), 5).add(bad, np.arange(4))


def test_ids_must_match_vectors() -> None:
    with pytest.raises(ValueError, match="4 vectors came with 3 ids"):
        StreamingTopK(np.ones((1, 8), np.float32), 5).add(np.ones((4, 8), np.float32), np.arange(3))


@given(
    seed=st.integers(0, 2**32 - 1),
    passages=st.integers(0, 60),
    k=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_a_passage_with_several_vectors_competes_once_by_its_best(
    seed: int, passages: int, k: int, cuts: list[int], data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.arange(passages), rng.integers(1, 5, passages))
    queries, vectors = integers(rng, 7), integers(rng, len(rows))
    edges = sorted({0, passages, *(min(cut, passages) for cut in cuts)})
    running = StreamingTopK(queries, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "PASSAGE_BLOCK", 11)
        for start, stop in data.draw(st.permutations(list(pairwise(edges)))):
            shard = (rows >= start) & (rows < stop)
            running.add(vectors[shard], rows[shard])
        ids, scores = running.result()

    products = queries @ vectors.T
    best = [products[:, rows == row].max(1) for row in range(passages)]
    every = np.stack(best, axis=1) if best else np.empty((7, 0), np.float32)
    expected = np.argsort(-every, axis=1, kind="stable")[:, :k]
    missing = k - expected.shape[1]
    np.testing.assert_array_equal(ids, np.pad(expected, ((0, 0), (0, missing)), constant_values=-1))
    np.testing.assert_array_equal(
        scores,
        np.pad(np.take_along_axis(every, expected, 1), ((0, 0), (0, missing)), constant_values=-np.inf),
    )

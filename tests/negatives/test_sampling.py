import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from ance.negatives.sampling import (
    Rows,
    Scores,
    random_negatives,
    sample_simans,
    sample_top,
    sample_uniform,
    without_positives,
)

seeds = st.integers(0, 2**32)


def padded(rows: list[list[int]]) -> Rows:
    width = max(map(len, rows))
    return np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int64).reshape(len(rows), width)


def falling_scores(candidates: Rows) -> Scores:
    scores = np.broadcast_to(-np.arange(candidates.shape[1], dtype=np.float32), candidates.shape)
    return np.where(candidates >= 0, scores, -np.inf).astype(np.float32)


def rankings(passages: int = 30) -> st.SearchStrategy[list[tuple[list[int], list[int]]]]:
    """For each of some queries: a ranking of distinct passages, and known positives."""
    rows = st.lists(st.integers(0, passages - 1), max_size=12, unique=True)
    return st.lists(st.tuples(rows, rows), min_size=1, max_size=6)


@given(rankings())
def test_dropping_positives_keeps_the_rest_in_order_with_its_scores(queries):
    candidates, positives = padded([ranked for ranked, _ in queries]), padded([known for _, known in queries])
    kept, scores = without_positives(candidates, falling_scores(candidates), positives)
    for row, (ranked, known) in enumerate(queries):
        left = [passage for passage in ranked if passage not in known]
        assert kept[row].tolist() == left + [-1] * (candidates.shape[1] - len(left))
        assert scores[row, : len(left)].tolist() == [-ranked.index(passage) for passage in left]
        assert np.isneginf(scores[row, len(left) :]).all()


@given(rankings(), st.integers(1, 15), seeds)
def test_a_uniform_sample_has_distinct_candidates_and_is_padded_only_where_they_run_out(queries, n, seed):
    candidates = padded([ranked for ranked, _ in queries])
    scores = falling_scores(candidates)
    negatives, negative_scores = sample_uniform(candidates, scores, n, np.random.default_rng(seed))
    assert negatives.shape == negative_scores.shape == (len(queries), n)
    for row, (ranked, _) in enumerate(queries):
        drawn = negatives[row][negatives[row] >= 0].tolist()
        assert len(drawn) == min(n, len(ranked))
        assert drawn == sorted(set(drawn), key=ranked.index)
        assert (negatives[row, len(drawn) :] == -1).all()
        assert negative_scores[row, : len(drawn)].tolist() == [-ranked.index(passage) for passage in drawn]
        assert np.isneginf(negative_scores[row, len(drawn) :]).all()


@given(rankings(), st.integers(1, 15), seeds)
def test_random_negatives_are_distinct_never_positive_and_padded_only_in_a_small_corpus(queries, n, seed):
    passages = 30
    positives = padded([known for _, known in queries])
    negatives = random_negatives(passages, positives, n, np.random.default_rng(seed))
    assert negatives.shape == (len(queries), n)
    for row, (_, known) in enumerate(queries):
        drawn = negatives[row][negatives[row] >= 0].tolist()
        assert len(drawn) == min(n, passages - len(known))
        assert (negatives[row, len(drawn) :] == -1).all()
        assert len(set(drawn)) == len(drawn)
        assert set(drawn) <= set(range(passages)) - set(known)


@given(st.lists(st.integers(-1, 5), max_size=8), seeds)
def test_repeated_or_unordered_positives_change_nothing(positives, seed):
    plain = padded([sorted({row for row in positives if row >= 0})])
    messy = np.array([positives], dtype=np.int64)
    assert_array_equal(
        random_negatives(9, messy, 4, np.random.default_rng(seed)),
        random_negatives(9, plain, 4, np.random.default_rng(seed)),
    )


def test_a_corpus_of_positives_only_gives_padding():
    negatives = random_negatives(3, np.array([[2, 0, 1]]), 2, np.random.default_rng(0))
    assert_array_equal(negatives, [[-1, -1]])


def test_a_query_without_candidates_gets_padding():
    empty = np.empty((2, 0), dtype=np.int64)
    negatives, scores = sample_uniform(empty, empty.astype(np.float32), 3, np.random.default_rng(0))
    assert_array_equal(negatives, np.full((2, 3), -1))
    assert np.isneginf(scores).all()


@given(seeds)
def test_the_same_seed_gives_the_same_negatives(seed):
    candidates = np.arange(100, dtype=np.int64).reshape(2, 50)
    first, again = (
        sample_uniform(candidates, falling_scores(candidates), 5, np.random.default_rng(seed))[0] for _ in range(2)
    )
    assert_array_equal(first, again)
    assert_array_equal(
        random_negatives(100, candidates, 5, np.random.default_rng(seed)),
        random_negatives(100, candidates, 5, np.random.default_rng(seed)),
    )


def test_every_candidate_is_equally_likely():
    candidates = np.tile(np.arange(10, dtype=np.int64), (20_000, 1))
    negatives, _ = sample_uniform(candidates, falling_scores(candidates), 3, np.random.default_rng(1))
    counts = np.bincount(negatives.ravel(), minlength=10)
    # 6000 expected each, standard deviation 65.
    assert np.abs(counts - 6_000).max() < 330


def test_every_passage_that_is_not_positive_is_equally_likely():
    positives = np.tile(np.array([0, 4, 11], dtype=np.int64), (20_000, 1))
    negatives = random_negatives(13, positives, 3, np.random.default_rng(1))
    counts = np.bincount(negatives.ravel(), minlength=13)
    assert_array_equal(counts[[0, 4, 11]], 0)
    assert np.abs(np.delete(counts, [0, 4, 11]) - 6_000).max() < 330


@given(rankings(), st.integers(1, 15))
def test_the_top_are_the_first_of_the_ranking(queries, n):
    candidates = padded([ranked for ranked, _ in queries])
    negatives, scores = sample_top(candidates, falling_scores(candidates), n)
    assert negatives.shape == scores.shape == (len(queries), n)
    for row, (ranked, _) in enumerate(queries):
        drawn = min(n, len(ranked))
        assert negatives[row].tolist() == ranked[:n] + [-1] * (n - drawn)
        assert scores[row, :drawn].tolist() == [-rank for rank in range(drawn)]
        assert np.isneginf(scores[row, drawn:]).all()


@given(rankings(), st.integers(1, 15), seeds)
def test_simans_draws_distinct_candidates_and_pads_only_where_they_run_out(queries, n, seed):
    candidates = padded([ranked for ranked, _ in queries])
    positive = np.zeros(len(queries), np.float32)
    negatives, scores = sample_simans(
        candidates, falling_scores(candidates), positive, n, 0.5, 0.0, np.random.default_rng(seed)
    )
    for row, (ranked, _) in enumerate(queries):
        drawn = negatives[row][negatives[row] >= 0].tolist()
        assert len(drawn) == min(n, len(ranked))
        assert drawn == sorted(set(drawn), key=ranked.index)
        assert (negatives[row, len(drawn) :] == -1).all()
        assert scores[row, : len(drawn)].tolist() == [-ranked.index(passage) for passage in drawn]
        assert np.isneginf(scores[row, len(drawn) :]).all()


def test_simans_draws_as_often_as_its_formula_says():
    scores = np.array([3.0, 2.0, 1.0, 0.0], np.float32)
    candidates = np.tile(np.arange(4, dtype=np.int64), (40_000, 1))
    negatives, _ = sample_simans(
        candidates,
        np.tile(scores, (40_000, 1)),
        np.full(40_000, 2.5, np.float32),
        1,
        0.7,
        -1.0,
        np.random.default_rng(1),
    )
    weights = np.exp(-0.7 * (scores - 2.5 + 1.0) ** 2)
    expected = 40_000 * weights / weights.sum()
    counts = np.bincount(negatives.ravel(), minlength=4)
    assert np.abs(counts - expected).max() < 500  # five standard deviations of a count


def test_simans_with_a_sharp_preference_takes_those_nearest_to_the_positive():
    scores = np.array([[9.0, 5.2, 4.9, 4.0, 1.0]], np.float32)
    negatives, _ = sample_simans(
        np.arange(5)[None], scores, np.array([5.0], np.float32), 2, 1e4, 0.0, np.random.default_rng(0)
    )
    assert negatives.tolist() == [[1, 2]]

"""Negatives from several pools."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ance.negatives.mixing import Pool, mix
from tests.negatives.test_sampling import padded

rows = st.lists(st.integers(0, 19), max_size=10, unique=True)


@given(st.lists(st.tuples(rows, rows, rows, rows), min_size=1, max_size=5), st.integers(0, 2**32))
def test_each_pool_gives_its_share_and_nothing_comes_twice_or_is_positive(queries, seed) -> None:
    own, first, second, known = (padded([query[i] for query in queries]) for i in range(4))
    own = own[:, :3]
    scores = np.where(own >= 0, 1, -np.inf).astype(np.float32)
    ranking = (own, scores)
    mixed, mixed_scores = mix(
        (own, scores), [Pool(first, 0.5), Pool(second, 0.25)], known, ranking, 8, np.random.default_rng(seed)
    )
    assert mixed.shape == mixed_scores.shape == (len(queries), own.shape[1] + 6)
    for line, (_, in_first, in_second, positives) in enumerate(queries):
        kept = own[line][own[line] >= 0].tolist()
        found = mixed[line][mixed[line] >= 0].tolist()
        assert (mixed[line, len(found) :] == -1).all() and np.isneginf(mixed_scores[line, len(found) :]).all()
        assert found[: len(kept)] == kept
        assert len(set(found)) == len(found)
        from_first = min(4, len(set(in_first) - set(positives) - set(kept)))
        drawn_first, drawn_second = found[len(kept) :][:from_first], found[len(kept) :][from_first:]
        assert set(drawn_first) <= set(in_first) - set(positives)
        assert set(drawn_second) <= set(in_second) - set(positives)
        assert len(drawn_second) == min(2, len(set(in_second) - set(positives) - set(kept) - set(drawn_first)))


def test_a_negative_of_a_pool_has_its_score_in_this_ranking_if_it_is_ranked() -> None:
    ids, scores = np.array([[3, 5, 8]]), np.array([[0.9, 0.5, 0.1]], np.float32)
    drawn = (ids[:, :1], scores[:, :1])
    mixed, found = mix(
        drawn, [Pool(np.array([[8, 6]]), 0.5)], np.array([[5]]), (ids, scores), 4, np.random.default_rng(0)
    )
    assert dict(zip(mixed[0].tolist(), found[0].tolist(), strict=True)) == {
        3: np.float32(0.9),
        8: np.float32(0.1),
        6: -np.inf,
    }

"""Negatives from several pools."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.negatives.mixing import looked_up, mix
from tests.negatives.test_sampling import padded

rows = st.lists(st.integers(0, 19), max_size=10, unique=True)


@settings(deadline=None)
@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=5), st.integers(0, 5), st.integers(0, 2**32))
def test_a_pool_gives_its_share_and_nothing_comes_twice(queries, count, seed) -> None:
    own, others = (padded([query[i] for query in queries]) for i in range(2))
    own = own[:, :3]
    scores = np.where(own >= 0, 1, -np.inf).astype(np.float32)
    other_scores = np.where(others >= 0, others / 10, -np.inf).astype(np.float32)
    mixed, mixed_scores = mix((own, scores), (others, other_scores), count, np.random.default_rng(seed))
    assert mixed.shape == mixed_scores.shape == (len(queries), own.shape[1] + count)
    for line, (_, pool) in enumerate(queries):
        kept = own[line][own[line] >= 0].tolist()
        found = mixed[line][mixed[line] >= 0].tolist()
        assert (mixed[line, len(found) :] == -1).all() and np.isneginf(mixed_scores[line, len(found) :]).all()
        assert found[: len(kept)] == kept and len(set(found)) == len(found)
        drawn = found[len(kept) :]
        assert set(drawn) <= set(pool) and len(drawn) == min(count, len(set(pool) - set(kept)))
        assert mixed_scores[line, len(kept) : len(found)].tolist() == [np.float32(row / 10) for row in drawn]


@settings(deadline=None)
@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=5))
def test_a_passage_has_its_score_in_the_ranking_if_it_is_ranked(queries) -> None:
    wanted, ids = (padded([query[i] for query in queries]) for i in range(2))
    scores = np.where(ids >= 0, np.linspace(1, 0, max(1, ids.shape[1]), dtype=np.float32)[: ids.shape[1]], -np.inf)
    found = looked_up(wanted, (ids, scores.astype(np.float32)))
    for line, passages in enumerate(wanted.tolist()):
        score_of = dict(zip(ids[line].tolist(), scores[line].astype(np.float32).tolist(), strict=True))
        assert found[line].tolist() == [score_of.get(passage, -np.inf) for passage in passages]

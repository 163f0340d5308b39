import numpy as np
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import MinedNegatives, mine, ranking_depth

QUERIES, PASSAGES = 6, 40
CONFIG = NegativesConfig(candidates=10, sample=4)


def qrels() -> Qrels:
    """Query q has passages q and q + 10 as positives, query 0 none; passage 5 is judged and not relevant."""
    query_rows = np.repeat(np.arange(1, QUERIES), 2)
    passages = query_rows + np.tile([0, 10], QUERIES - 1)
    return Qrels.build(
        QUERIES, np.append(query_rows, 1), np.append(passages, 5), np.append(np.ones(10, np.int32), np.int32(0))
    )


def ranking(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Every passage ranked for every query."""
    scores = np.random.default_rng(seed).standard_normal((QUERIES, PASSAGES)).astype(np.float32)
    ids = np.argsort(-scores, axis=1)
    return ids, np.take_along_axis(scores, ids, axis=1)


def test_candidates_are_the_best_ranked_passages_without_any_known_positive():
    ids, scores = ranking()
    mined = mine(ids, scores, qrels(), CONFIG, step=1)
    for query in range(QUERIES):
        positives = set(qrels().positives(query).tolist())
        assert mined.candidates[query].tolist() == [row for row in ids[query].tolist() if row not in positives][:10]
    assert_array_equal(mined.queries, np.arange(QUERIES))


def test_negatives_are_sampled_from_the_candidates_with_their_scores():
    ids, scores = ranking()
    mined = mine(ids, scores, qrels(), CONFIG, step=1)
    assert mined.negatives.shape == mined.scores.shape == (QUERIES, 4)
    for query in range(QUERIES):
        score_of = dict(zip(ids[query].tolist(), scores[query].tolist(), strict=True))
        assert len(set(mined.negatives[query].tolist())) == 4
        assert set(mined.negatives[query].tolist()) <= set(mined.candidates[query].tolist())
        assert mined.scores[query].tolist() == [score_of[row] for row in mined.negatives[query].tolist()]


def test_the_sample_follows_from_ranking_seed_and_step():
    ids, scores = ranking()

    def sample(seed: int, step: int) -> list[list[int]]:
        config = CONFIG.model_copy(update={"seed": seed})
        return mine(ids, scores, qrels(), config, step).negatives.tolist()

    assert sample(seed=1, step=1) == sample(seed=1, step=1)
    assert sample(seed=1, step=1) != sample(seed=1, step=2)
    assert sample(seed=1, step=1) != sample(seed=2, step=1)


def test_a_ranking_that_is_too_short_leaves_padding():
    ids, scores = ranking()
    mined = mine(ids[:, :3], scores[:, :3], qrels(), CONFIG, step=1)
    present = mined.candidates >= 0
    assert (mined.negatives[:, -1] == -1).all() and np.isneginf(mined.scores[:, -1]).all()
    assert_array_equal((mined.negatives >= 0).sum(1), present.sum(1))


def test_the_depth_leaves_enough_candidates_when_all_judged_passages_rank_first():
    assert ranking_depth(qrels(), CONFIG) == 10 + 3
    ids = np.tile(np.arange(PASSAGES), (QUERIES, 1))
    ids[1] = np.concatenate([[1, 11, 5], np.setdiff1d(ids[1], [1, 11, 5])])
    depth = ranking_depth(qrels(), CONFIG)
    mined = mine(ids[:, :depth], np.zeros((QUERIES, depth), np.float32), qrels(), CONFIG, step=1)
    assert (mined.candidates >= 0).all()


def test_a_saved_version_is_mapped_back_as_it_was(tmp_path):
    mined = mine(*ranking(), qrels(), CONFIG, step=1)
    mined.save(tmp_path / "negatives")
    opened = MinedNegatives.open(tmp_path / "negatives")
    for name in ("queries", "candidates", "negatives", "scores"):
        saved, found = getattr(mined, name), getattr(opened, name)
        assert isinstance(found, np.memmap) and found.dtype == saved.dtype
        assert_array_equal(found, saved)

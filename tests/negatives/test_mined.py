import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import MinedNegatives, mine, mine_rows, ranking_depth
from ance.negatives.mixing import Pool

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
    assert opened.dropped == mined.dropped == {"known_positive": 10}


def test_candidates_near_the_positive_or_above_it_are_dropped_and_counted():
    ids, scores = ranking()
    config = CONFIG.model_copy(update={"absolute_margin": 0.5, "candidates": PASSAGES})
    mined = mine(ids, scores, qrels(), config, step=1)
    dropped = 0
    for query in range(QUERIES):
        score_of = dict(zip(ids[query].tolist(), scores[query].tolist(), strict=True))
        positives = qrels().positives(query).tolist()
        best = max((score_of[row] for row in positives), default=min(score_of.values()))
        others = [row for row in ids[query].tolist() if row not in positives]
        kept = [row for row in others if score_of[row] <= best - 0.5]
        assert mined.candidates[query][mined.candidates[query] >= 0].tolist() == kept
        dropped += len(others) - len(kept)
    assert mined.dropped == {"known_positive": 10, "margin": dropped}
    assert dropped > 50


def test_candidates_that_hold_an_answer_are_dropped_and_counted_after_the_positives():
    ids, scores = ranking()
    config = CONFIG.model_copy(update={"exclude_answers": True})
    mined = mine(ids, scores, qrels(), config, step=1, has_answer=lambda query, passage: passage % 5 == query)
    assert all(row % 5 != query for query in range(QUERIES) for row in mined.candidates[query].tolist())
    # 8 passages of each of queries 0 to 4, of which 1 to 4 have none or two as positives: q and q + 10 are q mod 5.
    assert mined.dropped == {"known_positive": 10, "answer": 8 + 4 * 6}
    assert (mined.candidates >= 0).all(), "the next in rank take the places"


def test_the_top_of_the_ranking_can_be_had_instead_of_a_sample():
    config = CONFIG.model_copy(update={"sampling": "top"})
    mined = mine(*ranking(), qrels(), config, step=1)
    assert_array_equal(mined.negatives, mined.candidates[:, :4])


def test_simans_prefers_candidates_that_score_like_the_positive():
    ids, scores = ranking()
    config = CONFIG.model_copy(update={"sampling": "simans", "simans_a": 1e6, "candidates": PASSAGES})
    mined = mine(ids, scores, qrels(), config, step=1)
    for query in range(1, QUERIES):
        score_of = dict(zip(ids[query].tolist(), scores[query].tolist(), strict=True))
        best = max(score_of[row] for row in qrels().positives(query).tolist())
        others = sorted(
            set(score_of) - set(qrels().positives(query).tolist()), key=lambda row: abs(score_of[row] - best)
        )
        assert set(mined.negatives[query].tolist()) == set(others[:4])


def test_a_pool_gives_its_share_of_the_sample():
    ids, scores = ranking()
    earlier = np.tile(np.arange(30, 40), (QUERIES, 1))
    mined = mine(ids, scores, qrels(), CONFIG, step=1, pools=[Pool(earlier, 0.5)])
    assert mined.negatives.shape == (QUERIES, 4)
    for query in range(QUERIES):
        assert set(mined.negatives[query, :2].tolist()) <= set(mined.candidates[query].tolist())
        assert set(mined.negatives[query, 2:].tolist()) <= set(range(30, 40))
        assert len(set(mined.negatives[query].tolist())) == 4


def test_what_a_pool_holds_of_an_answer_is_dropped_and_counted_too():
    config = CONFIG.model_copy(update={"exclude_answers": True})
    pool = Pool(np.tile(np.arange(30, 40), (QUERIES, 1)), 0.5)
    alone = mine(*ranking(), qrels(), config, step=1, has_answer=lambda query, passage: passage % 5 == query)
    mined = mine(
        *ranking(), qrels(), config, step=1, pools=[pool], has_answer=lambda query, passage: passage % 5 == query
    )
    assert all(row % 5 != query for query in range(QUERIES) for row in mined.negatives[query].tolist())
    assert mined.dropped["answer"] == alone.dropped["answer"] + 5 * 2


def test_known_positives_of_a_pool_are_dropped_and_counted_too():
    pool = Pool(np.tile(np.arange(10, 20), (QUERIES, 1)), 0.5)  # q + 10 is a positive of each query but 0
    mined = mine(*ranking(), qrels(), CONFIG, step=1, pools=[pool])
    for query in range(QUERIES):
        assert not set(mined.negatives[query].tolist()) & set(qrels().positives(query).tolist())
    assert mined.dropped == {"known_positive": 10 + 5}


def test_a_margin_drops_what_a_pool_holds_near_the_positive_and_keeps_what_is_not_ranked():
    # Passage p scores 40 - p; the positives of query q score 40 - q and 30 - q.
    ids = np.tile(np.arange(30), (QUERIES, 1))
    scores = (40 - ids).astype(np.float32)
    pool = Pool(np.tile([0, 8, 9, 28, 35, -1], (QUERIES, 1)), 0.75)
    config = CONFIG.model_copy(update={"absolute_margin": 7.5, "candidates": 30})
    mined = mine(ids, scores, qrels(), config, step=1, pools=[pool])
    for query in range(1, QUERIES):
        kept = {passage for passage in (8, 9, 28) if passage >= query + 7.5} | {35}
        from_pool = set(mined.negatives[query, 1:].tolist()) - {-1}
        assert from_pool <= kept and len(from_pool) == min(3, len(kept - {int(mined.negatives[query, 0])}))
        score_of = {8: 32.0, 9: 31.0, 28: 12.0, 35: -np.inf}
        for passage, score in zip(mined.negatives[query, 1:].tolist(), mined.scores[query, 1:].tolist(), strict=True):
            assert passage == -1 or score == score_of[passage]
    alone = mine(ids, scores, qrels(), config, step=1)
    # All that is ranked of query 0, which has no positive; 0 of the others, and 8 and 9 where they are near.
    near = 4 + 5 + sum(query + 7.5 > 8 for query in range(1, 6)) + sum(query + 7.5 > 9 for query in range(1, 6))
    assert mined.dropped["margin"] == alone.dropped["margin"] + near


def test_an_answer_filter_that_knows_no_answers_is_refused():
    with pytest.raises(ValueError, match="exclude_answers"):
        mine(*ranking(), qrels(), CONFIG.model_copy(update={"exclude_answers": True}), step=1)


def test_some_queries_are_mined_as_all_of_them_are():
    rows, (ids, scores) = np.array([4, 1]), ranking()
    config = CONFIG.model_copy(update={"exclude_answers": True, "sampling": "top"})
    some = mine_rows(
        rows,
        (ids[rows], scores[rows]),
        qrels(),
        config,
        np.random.default_rng(0),
        has_answer=lambda query, passage: passage % 5 == query,
    )
    whole = mine(ids, scores, qrels(), config, step=1, has_answer=lambda query, passage: passage % 5 == query)
    assert_array_equal(some.queries, rows)
    assert_array_equal(some.negatives, whole.negatives[rows])

"""Negatives as a teacher leaves them, against loops over single pairs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig, TeacherConfig
from ance.negatives.filters import judged_relevant
from ance.negatives.judging import judge, pairs_to_score, to_draw
from ance.negatives.mined import MinedNegatives, mine
from ance.negatives.mixing import Pool
from ance.negatives.pair_scores import PairScores, pairs_of
from tests.negatives.test_mined import CONFIG, QUERIES, qrels, ranking

DEPTH = 8
POSITIVES = qrels().padded_positives(np.arange(QUERIES))
TEACHER = TeacherConfig(cross_encoder="any", depth=DEPTH, denoise_margin=0.3)


def drawn(**changes: object) -> MinedNegatives:
    return mine(*ranking(), qrels(), to_draw(CONFIG.model_copy(update=changes), TEACHER), step=1)


def teacher_scores(mined: MinedNegatives) -> PairScores:
    """Made-up scores of all that has to be scored, and of pairs that nobody asks for."""
    pairs = np.append(PairScores.none().missing(pairs_to_score(mined, POSITIVES)), 12_345_678)
    return PairScores(pairs, np.random.default_rng(4).standard_normal(len(pairs)).astype(np.float32))


def score(known: PairScores, query: int, passage: int) -> float:
    return float(known.look_up(pairs_of(np.array([query]), np.array([[passage]])))[0, 0])


def test_as_many_negatives_are_drawn_as_the_teacher_scores() -> None:
    assert drawn().negatives.shape == (QUERIES, DEPTH)
    alone = TeacherConfig(cross_encoder="any", denoise_margin=1.0)
    assert to_draw(CONFIG, alone) == CONFIG


def test_negatives_that_score_like_the_best_positive_are_dropped_and_counted() -> None:
    mined = drawn()
    known = teacher_scores(mined)
    judged = judge(mined, POSITIVES, known, CONFIG.model_copy(update={"sample": DEPTH}), TEACHER, step=1)
    dropped = 0
    for query in range(QUERIES):
        best = max((score(known, query, row) for row in POSITIVES[query] if row >= 0), default=np.inf)
        left = [row for row in mined.negatives[query].tolist() if score(known, query, row) <= best - 0.3]
        if not (POSITIVES[query] >= 0).any():
            left = mined.negatives[query].tolist()  # query 0 has nothing to compare with
        dropped += DEPTH - len(left)
        assert judged.negatives[query].tolist() == left + [-1] * (DEPTH - len(left))
    assert 0 < dropped < QUERIES * DEPTH
    assert judged.dropped == mined.dropped | {"denoised": dropped}


def test_the_sample_is_drawn_from_what_is_left_with_its_similarities() -> None:
    mined = drawn()
    known = teacher_scores(mined)
    judged = judge(mined, POSITIVES, known, CONFIG, TEACHER, step=1)
    whole = judge(mined, POSITIVES, known, CONFIG.model_copy(update={"sample": DEPTH}), TEACHER, step=1)
    assert judged.negatives.shape == judged.scores.shape == (QUERIES, CONFIG.sample)
    for query in range(QUERIES):
        left = [row for row in whole.negatives[query].tolist() if row >= 0]
        kept = [row for row in judged.negatives[query].tolist() if row >= 0]
        assert set(kept) <= set(left) and len(kept) == min(CONFIG.sample, len(left))
        of = dict(zip(mined.negatives[query].tolist(), mined.scores[query].tolist(), strict=True))
        assert [of[row] for row in kept] == judged.scores[query, : len(kept)].tolist()
    again = judge(mined, POSITIVES, known, CONFIG, TEACHER, step=1)
    other = judge(mined, POSITIVES, known, CONFIG, TEACHER, step=2)
    assert_array_equal(again.negatives, judged.negatives)
    assert (other.negatives != judged.negatives).any()


def test_the_highest_ranked_of_what_is_left_are_kept_where_the_highest_are_drawn() -> None:
    config = CONFIG.model_copy(update={"sampling": "top"})
    mined = drawn(sampling="top")
    known = teacher_scores(mined)
    judged = judge(mined, POSITIVES, known, config, TEACHER, step=1)
    whole = judge(mined, POSITIVES, known, config.model_copy(update={"sample": DEPTH}), TEACHER, step=1)
    assert_array_equal(judged.negatives, whole.negatives[:, : CONFIG.sample])


def test_a_pool_keeps_its_share_of_what_is_left() -> None:
    queries, share = 400, 0.5
    ids = np.tile(np.arange(60), (queries, 1))
    scores = np.tile(np.linspace(1, 0, 60, dtype=np.float32), (queries, 1))
    judgements = Qrels.build(queries, np.arange(queries), np.full(queries, 59), np.ones(queries, np.int32))
    pool = Pool(np.tile(np.arange(40, 50), (queries, 1)), share)
    config = NegativesConfig(candidates=40, sample=4, momentum=share)
    mined = mine(ids, scores, judgements, to_draw(config, TEACHER), step=1, pools=[pool])
    positives = judgements.padded_positives(np.arange(queries))
    pairs = np.unique(pairs_to_score(mined, positives))
    known = PairScores(pairs, np.random.default_rng(5).standard_normal(len(pairs)).astype(np.float32))
    kept = judge(mined, positives, known, config, TEACHER, step=1).negatives
    assert (kept >= 40).sum() == pytest.approx(share * (kept >= 0).sum(), rel=0.1)


def test_without_a_margin_nothing_is_dropped_and_the_scores_come_along() -> None:
    mined = drawn()
    known = teacher_scores(mined)
    teacher = TEACHER.model_copy(update={"denoise_margin": None})
    judged = judge(mined, POSITIVES, known, CONFIG.model_copy(update={"sample": DEPTH}), teacher, step=1)
    assert_array_equal(judged.negatives, mined.negatives)
    assert judged.dropped == mined.dropped


def test_the_scores_of_what_is_kept_and_of_the_positives_are_published_and_no_others(tmp_path: Path) -> None:
    mined = drawn()
    judged = judge(mined, POSITIVES, teacher_scores(mined), CONFIG, TEACHER, step=1)
    judged.save(tmp_path)
    opened = MinedNegatives.open(tmp_path)
    assert opened.teacher is not None and judged.teacher is not None
    wanted = pairs_to_score(judged, POSITIVES)
    assert_array_equal(opened.teacher.pairs, np.unique(wanted[wanted >= 0]))
    assert_array_equal(opened.teacher.scores, judged.teacher.scores)
    replace(judged, teacher=None).save(tmp_path / "without")
    assert MinedNegatives.open(tmp_path / "without").teacher is None


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_is_that_of_a_threshold_below_the_positive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.normal(0, 3, (5, 7)).astype(np.float32), rng.normal(0, 3, 5).astype(np.float32)
    scores[1, 4:], positive[2] = np.nan, -np.inf
    relevant = judged_relevant(scores, positive, 3.0)
    for row, column in np.ndindex(scores.shape):
        odds = np.exp(positive[row] - scores[row, column])  # of positive against candidate
        assert relevant[row, column] == (odds < np.exp(3.0) and np.isfinite(positive[row]))

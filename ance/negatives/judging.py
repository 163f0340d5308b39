"""What a cross-encoder's scores make of mined negatives: those that are likely to be relevant go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ance.negatives.config import NegativesConfig, TeacherConfig
from ance.negatives.filters import judged_relevant
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.negatives.sampling import Rows, only, sample_top, sample_uniform

# Keeps what is drawn here apart from what was drawn in mining, with the same seed and step.
_AGAIN = 1


def to_draw(config: NegativesConfig, teacher: TeacherConfig) -> NegativesConfig:
    """Settings of mining for negatives that a teacher is to judge: as many are drawn as it scores."""
    return config.model_copy(update={"sample": teacher.depth or config.sample})


def pairs_to_score(mined: MinedNegatives, positives: Rows) -> NDArray[np.int64]:
    """What the teacher must know: each query with its positives and with the negatives drawn.

    Args:
        mined: with Q queries.
        positives: those that are trained with, int64 [Q, p], padded with -1.

    Returns:
        int64 [Q, p + n], as `pairs_of` has them.
    """
    return pairs_of(mined.queries, np.concatenate([positives, mined.negatives], axis=1))


def judge(
    mined: MinedNegatives,
    positives: Rows,
    known: PairScores,
    config: NegativesConfig,
    teacher: TeacherConfig,
    step: int,
) -> MinedNegatives:
    """Drop the negatives drawn that the teacher takes for relevant, and keep `config.sample` of those that are left.

    They are the highest ranked where `config.sampling` says so, else any. The same arguments give the same negatives.

    Args:
        mined: drawn by `to_draw`, n negatives a query.
        positives: those that are trained with, int64 [Q, p], padded with -1. The best of a query counts.
        known: scores of all `pairs_to_score`.
        config: as the run has it.
        teacher: `denoise_margin` decides what is dropped, if anything is.
        step: version that is mined.

    Returns:
        The negatives with the scores of their pairs and of the positives' as `teacher`, and with what was dropped
        counted as `denoised`.
    """
    drawn, dropped = (mined.negatives, mined.scores), dict(mined.dropped)
    if teacher.denoise_margin is not None:
        # Where no positive is known, nothing compares with -inf.
        of_positives = np.nan_to_num(known.look_up(pairs_of(mined.queries, positives)), nan=-np.inf)
        best = of_positives.max(axis=1, initial=-np.inf)
        relevant = judged_relevant(known.look_up(pairs_of(mined.queries, drawn[0])), best, teacher.denoise_margin)
        dropped["denoised"] = int(np.count_nonzero(relevant))
        drawn = only(*drawn, ~relevant)
    if config.sampling == "top":
        kept = sample_top(*drawn, config.sample)
    else:
        kept = sample_uniform(*drawn, config.sample, np.random.default_rng([config.seed, step, _AGAIN]))
    judged = replace(mined, negatives=kept[0], scores=kept[1], dropped=dropped)
    return replace(judged, teacher=known.only(pairs_to_score(judged, positives)))

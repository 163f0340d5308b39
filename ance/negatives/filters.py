"""Which candidates must not become negatives, because they are likely to be relevant.

Row i of every array belongs to query i. Padding is -1 for passages and -inf for scores, always at the end of a row.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ance.negatives.sampling import Rows, Scores, is_positive

FILTERS = ("known_positive", "margin", "answer", "denoised")
"""Why a candidate is dropped, in the order in which they are asked: for counts."""

HasAnswer = Callable[[int, int], bool]
"""Whether the passage of a row (second) holds an answer to the query of a row (first)."""


def positive_scores(ids: Rows, scores: Scores, positives: Rows) -> Scores:
    """Score of the best known positive of each query, float32 [Q].

    A positive that is not ranked scores at most as much as the last passage that is: where no positive is ranked
    that score stands in for it. 0 where nothing is ranked at all.

    Args:
        ids: passage rows by rank, int64 [Q, k], padded with -1.
        scores: their scores, float32 [Q, k].
        positives: known positives, int64 [Q, p], padded with -1.
    """
    ranked = is_positive(ids, positives) & (ids >= 0)
    best = np.where(ranked, scores, -np.inf).max(axis=1, initial=-np.inf)
    last = np.where(ids >= 0, scores, np.inf).min(axis=1, initial=np.inf)
    score = np.where(ranked.any(axis=1), best, last)
    return np.where(np.isfinite(score), score, 0).astype(np.float32)


def within_margin(scores: Scores, positive: Scores, relative: float = 0.0, absolute: float = 0.0) -> NDArray[np.bool_]:
    """Candidates that score less than a margin below the positive, or above it: bool [Q, k].

    NV-Retriever (Moreira et al. 2024, section 3.2) keeps score <= (1 - relative) * s+ or score <= s+ - absolute;
    of two margins the wider counts. Inner products can be negative, so the relative one is taken from |s+|.

    Args:
        scores: similarity of each candidate, float32 [Q, k].
        positive: what `positive_scores` gives, float32 [Q].
        relative: share of |s+|.
        absolute: in units of the score.
    """
    limit = positive - np.maximum(relative * np.abs(positive), absolute)
    return scores > limit[:, None]


def judged_relevant(scores: Scores, positive: Scores, margin: float) -> NDArray[np.bool_]:
    """Candidates that a cross-encoder takes for relevant: bool [Q, k].

    RocketQA (Qu et al., NAACL 2021, section 4.2) removes retrieved passages that a cross-encoder predicts as positives,
    by one threshold for all queries. Here the threshold is relative to the query's positive, s > s+ - margin, as
    sentence-transformers' MS MARCO training has it (with a margin of 3): scores of different queries need not compare.

    Args:
        scores: the cross-encoder's logit of each candidate, float32 [Q, k]; NaN, which is never relevant, for padding.
        positive: its logit of the best positive of each query, float32 [Q], -inf where there is none.
        margin: in units of the logit. The odds of positive against candidate are less than e^margin.
    """
    return (scores > positive[:, None] - margin) & np.isfinite(positive)[:, None]


def holding_answers(rows: Rows, candidates: Rows, has_answer: HasAnswer) -> NDArray[np.bool_]:
    """Candidates whose text holds an answer (original OpenQA path): bool [Q, k].

    Args:
        rows: query rows, int64 [Q].
        candidates: passage rows of each query, int64 [Q, k], padded with -1.
        has_answer: decides.
    """
    held = np.zeros(candidates.shape, np.bool_)
    for query, rank in np.argwhere(candidates >= 0).tolist():
        held[query, rank] = has_answer(int(rows[query]), int(candidates[query, rank]))
    return held

"""Coverage@k: how many questions have an answer among their first k passages (DPR's top-k accuracy)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ance.data.answer_match import AnswerMatcher
from ance.data.texts import Texts
from ance.errors import AnceError

CUTOFFS = (20, 100)


def first_answer_ranks(passages: Texts, answers: Sequence[list[str]], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank, from 1, of the first passage that holds an answer: int64 [Q], 0 where none of them does.

    Args:
        passages: the corpus.
        answers: of each query row.
        ids: int64 [Q, k], passage rows by rank, padded with -1.
    """
    matcher = AnswerMatcher(passages, answers)
    ranks = np.zeros(len(ids), np.int64)
    for query, ranked in enumerate(ids.tolist()):
        found = (rank for rank, row in enumerate(ranked, 1) if row >= 0 and matcher(query, row))
        ranks[query] = next(found, 0)
    return ranks


def coverage(
    passages: Texts, answers: Sequence[list[str]], ids: NDArray[np.int64], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, float]:
    """`Coverage@k` for each cutoff: the share of the queries with answers that have one among their first k passages.

    The arguments are those of `first_answer_ranks`.

    Raises:
        AnceError: no query has an answer.
    """
    hits = covered(passages, answers, ids, cutoffs)
    if all(np.isnan(of_queries).all() for of_queries in hits.values()):
        raise AnceError(f"evaluation: none of the {len(ids)} queries has an answer: Coverage@k needs answers")
    return {name: float(np.nanmean(of_queries)) for name, of_queries in hits.items()}


def covered(
    passages: Texts, answers: Sequence[list[str]], ids: NDArray[np.int64], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, NDArray[np.float64]]:
    """`Coverage@k` of each query, float64 [Q]: 1 if a passage up to rank k holds an answer, else 0.

    NaN for a query without answers. The arguments are those of `first_answer_ranks`; nothing below the deepest cutoff
    is looked at.
    """
    asked = np.array([bool(answers[query]) for query in range(len(ids))], np.bool_)
    ranks = first_answer_ranks(passages, answers, ids[:, : max(cutoffs)])
    return {f"Coverage@{k}": np.where(asked, (ranks > 0) & (ranks <= k), np.nan) for k in cutoffs}

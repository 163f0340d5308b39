"""All that is measured of the rankings of a split: the measures of the paper, by system."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.evaluation.coverage import covered
from ance.evaluation.holes import hole_rate, judged_at
from ance.evaluation.measures import BM25, HOLES, JUDGED, MEASURES, OVERLAP
from ance.evaluation.metrics import per_query
from ance.evaluation.overlap import overlap
from ance.evaluation.ranking import Ranking
from ance.evaluation.significance import Comparison, compare

OVERLAP_DEPTH = 100

Scores = dict[str, dict[str, float]]


def query_scores(
    dataset: Dataset, split: str, ids: NDArray[np.int64], measures: Sequence[str] = MEASURES
) -> dict[str, NDArray[np.float64]]:
    """Each measure of each query: measure -> float64 [Q], NaN for a query that cannot be measured so.

    `measures` where the split has judgements, and Coverage@20 and Coverage@100 where it has answers. A measure is left
    out where none of the queries can be measured so.

    Args:
        dataset: has the split.
        split: whose queries are ranked for.
        ids: int64 [Q, k], the passage rows of its first Q queries, as `per_query` takes them.
        measures: of judgements, as `per_query` takes them.

    Raises:
        AnceError: none of the Q queries has a relevant passage or an answer.
    """
    values = per_query(dataset.qrels(split), ids, measures)
    if dataset.has_answers(split):
        values |= covered(dataset.passages, dataset.answers(split), ids)
    known = {name: of_queries for name, of_queries in values.items() if not np.isnan(of_queries).all()}
    if not known:
        raise AnceError(
            f"data set '{dataset.name}', split '{split}': none of {len(ids)} queries has a relevant passage or an "
            "answer; rank for another split"
        )
    return known


def mean_scores(
    dataset: Dataset, split: str, ids: NDArray[np.int64], measures: Sequence[str] = MEASURES
) -> dict[str, float]:
    """The mean of each of `query_scores` over the queries that can be measured so."""
    values = query_scores(dataset, split, ids, measures)
    return {name: float(np.nanmean(of_queries)) for name, of_queries in values.items()}


def score(dataset: Dataset, split: str, rankings: Mapping[str, Ranking], measures: Sequence[str] = MEASURES) -> Scores:
    """Every measure of every system: system -> measure -> mean over the queries.

    `measures`, Judged@10 and hole rates (paper, table 6) where the split has judgements; Coverage@20 and Coverage@100
    where it has answers; and with a ranking named `bm25`, `overlap@100`: the share of a system's first 100 passages
    that are among BM25's.

    Raises:
        AnceError: the split has neither a relevant passage nor an answer for any query.
    """
    qrels = dataset.qrels(split)
    scores: Scores = {}
    for name, ranking in rankings.items():
        scores[name] = mean_scores(dataset, split, ranking.ids, measures)
        if measures[0] in scores[name]:
            scores[name][JUDGED] = float(np.nanmean(judged_at(qrels, ranking.ids)))
            scores[name] |= {holes: hole_rate(qrels, ranking.ids, k) for holes, k in HOLES.items()}
        if BM25 in rankings and name != BM25:
            scores[name][OVERLAP] = overlap(ranking.ids[:, :OVERLAP_DEPTH], rankings[BM25].ids[:, :OVERLAP_DEPTH])
    return scores


def against(
    dataset: Dataset,
    split: str,
    rankings: Mapping[str, Ranking],
    baseline: str,
    measures: Sequence[str] = MEASURES,
) -> dict[str, dict[str, Comparison]]:
    """Each other system against a baseline, by the paired randomisation test: system -> measure -> comparison.

    `measures` where the split has judgements, and Coverage, which is 0 or 1 of a query, where it has answers.

    Raises:
        AnceError: there is no ranking of the baseline, or no query of the split has a relevant passage or an answer.
    """
    if baseline not in rankings:
        raise AnceError(f"no system '{baseline}' to compare with; there are: {', '.join(rankings)}")
    values = {name: query_scores(dataset, split, ranking.ids, measures) for name, ranking in rankings.items()}
    return {
        name: {each: compare(values[baseline][each], of_system[each]) for each in of_system}
        for name, of_system in values.items()
        if name != baseline
    }

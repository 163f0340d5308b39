"""All that is measured of the rankings of a split: the measures of the paper, by system."""

from collections.abc import Mapping, Sequence

import numpy as np

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.evaluation.coverage import coverage
from ance.evaluation.holes import hole_rate, judged_at
from ance.evaluation.measures import BM25, HOLES, JUDGED, MEASURES, OVERLAP
from ance.evaluation.metrics import measure, per_query
from ance.evaluation.overlap import overlap
from ance.evaluation.ranking import Ranking
from ance.evaluation.significance import Comparison, compare

OVERLAP_DEPTH = 100

Scores = dict[str, dict[str, float]]


def score(dataset: Dataset, split: str, rankings: Mapping[str, Ranking]) -> Scores:
    """Every measure of every system: system -> measure -> mean over the queries.

    `MEASURES`, Judged@10 and the hole rate `hole@10` (paper, table 6) where the split has judgements; Coverage@20 and
    Coverage@100 where it has answers; and with a ranking named `bm25`, `overlap@100`: the share of a system's first 100
    passages that are among BM25's.

    Raises:
        AnceError: the split has neither a relevant passage nor an answer for any query.
    """
    qrels = dataset.qrels(split)
    judged = bool((qrels.positive_counts() > 0).any())
    if not judged and not dataset.has_answers(split):
        raise AnceError(f"data set '{dataset.name}', split '{split}': no query has a relevant passage or an answer")
    scores: Scores = {name: {} for name in rankings}
    for name, ranking in rankings.items():
        if judged:
            scores[name] |= measure(qrels, ranking.ids, MEASURES)
            scores[name][JUDGED] = float(np.nanmean(judged_at(qrels, ranking.ids)))
            scores[name][HOLES] = hole_rate(qrels, ranking.ids)
        if dataset.has_answers(split):
            scores[name] |= coverage(dataset.passages, dataset.answers(split), ranking.ids)
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

    Raises:
        AnceError: there is no ranking of the baseline.
    """
    if baseline not in rankings:
        raise AnceError(f"no system '{baseline}' to compare with; there are: {', '.join(rankings)}")
    qrels = dataset.qrels(split)
    values = {name: per_query(qrels, ranking.ids, measures) for name, ranking in rankings.items()}
    return {
        name: {each: compare(values[baseline][each], values[name][each]) for each in measures}
        for name in rankings
        if name != baseline
    }

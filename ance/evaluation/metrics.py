"""Effectiveness of a ranking, by ir-measures and the trec_eval code below it."""

from collections import defaultdict
from collections.abc import Sequence

import ir_measures
import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.errors import AnceError

MEASURES = ("RR@10", "nDCG@10", "R@100", "R@1000")

FAMILIES = ("RR", "nDCG", "R", "P", "AP", "Success")
"""Measures that depend only on the ranks of judged passages."""

PARAMETERS = {"cutoff", "rel"}

_Run = dict[str, dict[str, float]]


def measure(qrels: Qrels, ids: NDArray[np.int64], measures: Sequence[str] = MEASURES) -> dict[str, float]:
    """The mean of each measure over the queries that have a relevant passage.

    Arguments and errors are those of `per_query`.

    Raises:
        AnceError: no query has a relevant passage.
    """
    values = per_query(qrels, ids, measures)
    if not len(ids) or not (qrels.positive_counts()[: len(ids)] > 0).any():
        raise AnceError(f"evaluation: none of the {len(ids)} queries has a relevant passage, check the qrels")
    return {name: float(np.nanmean(of_queries)) for name, of_queries in values.items()}


def unanswerable(qrels: Qrels) -> int:
    """Number of queries without a relevant passage, which the measures leave out."""
    return int((qrels.positive_counts() == 0).sum())


def per_query(
    qrels: Qrels, ids: NDArray[np.int64], measures: Sequence[str] = MEASURES
) -> dict[str, NDArray[np.float64]]:
    """Each measure of each query.

    A passage of grade 1 and above is relevant; nDCG's gain is the grade. The order of `ids` is the ranking,
    whatever the scores. RR@10 is the reciprocal rank of the first relevant passage among the first 10, else 0.

    Args:
        qrels: judgements by query row.
        ids: int64 [Q, k], the passage rows of query rows 0 to Q - 1, best first, padded with -1. k should reach
            the deepest cutoff, unless the corpus is smaller.
        measures: names of ir-measures, of the `FAMILIES`, each with a cutoff.

    Returns:
        Measure -> float64 [Q]. NaN for queries without a relevant passage; 0 where no passage was retrieved.

    Raises:
        AnceError: a measure is not of the `FAMILIES`, or has no cutoff.
        ValueError: there are more rankings than queries.
    """
    if len(ids) > qrels.queries:
        raise ValueError(f"rankings of {len(ids)} queries, judgements of {qrels.queries}")
    queries = np.flatnonzero(qrels.positive_counts()[: len(ids)])
    judgements = {str(query): _judgements(qrels, query) for query in queries.tolist()}
    judged = judged_passages(qrels, ids)
    parsed = {name: parse_measure(name) for name in measures}
    values = {measure: np.full(len(ids), np.nan) for measure in parsed.values()}
    by_cutoff = defaultdict(list)
    for measure in values:
        by_cutoff[measure["cutoff"]].append(measure)
    for cutoff, group in by_cutoff.items():
        evaluator = ir_measures.evaluator(group, judgements)
        for query, measure, value in evaluator.iter_calc(_run(queries, ids, judged[:, :cutoff])):
            values[measure][int(query)] = value
    return {name: values[measure] for name, measure in parsed.items()}


def parse_measure(name: str) -> ir_measures.Measure:
    """A measure by its name.

    Raises:
        AnceError: it is not of the `FAMILIES`, has no cutoff, or has parameters besides it and `rel`, the least grade
            of a relevant passage.
    """
    wanted = f"use one of {', '.join(FAMILIES)} with a cutoff, as in nDCG@10 or RR(rel=2)@10"
    try:
        parsed = ir_measures.parse_measure(name)
    except (NameError, ValueError) as error:
        raise AnceError(f"evaluation: there is no measure '{name}', {wanted}") from error
    if parsed.NAME not in FAMILIES or "cutoff" not in parsed.params or not parsed.params.keys() <= PARAMETERS:
        raise AnceError(f"evaluation: measure '{name}' does not fit, {wanted}")
    return parsed


def _judgements(qrels: Qrels, query: int) -> dict[str, int]:
    judged = slice(qrels.indptr[query], qrels.indptr[query + 1])
    return dict(zip(map(str, qrels.passages[judged].tolist()), qrels.grades[judged].tolist(), strict=True))


def judged_passages(qrels: Qrels, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which retrieved passages have a judgement for their query: bool [Q, k]."""
    width = 1 + max(ids.max(initial=0), qrels.passages.max(initial=0))
    of_query = np.repeat(np.arange(qrels.queries), np.diff(qrels.indptr))
    pairs = np.arange(len(ids))[:, None] * width + ids
    return np.isin(pairs, of_query * width + qrels.passages) & (ids >= 0)


def _run(queries: NDArray[np.int64], ids: NDArray[np.int64], judged: NDArray[np.bool_]) -> _Run:
    """Rankings as ir-measures takes them, each up to its last judged passage within the cutoff.

    What follows that passage changes no measure, and handing it over would take nearly all the time. Scores are
    made from ranks, so that ties stay in the order given.
    """
    depth = judged.shape[1]
    lengths = np.where(judged, np.arange(1, depth + 1), 0).max(axis=1, initial=0)
    scores = [float(-rank) for rank in range(depth)]
    run: _Run = {}
    for query in queries.tolist():
        passages = ids[query, : lengths[query]]
        run[str(query)] = dict(zip(map(str, passages[passages >= 0].tolist()), scores, strict=False))
    return run

"""Names of what is measured, and of the ranking that others are measured against."""

from collections.abc import Mapping
from types import MappingProxyType

MEASURES = ("RR@10", "AP@10", "nDCG@10", "R@100", "R@1000")
"""Of queries with a relevant passage, named as ir-measures names them; AP@10 averaged is MAP@10."""

COVERAGE = ("Coverage@20", "Coverage@100")
"""Of queries with an answer: DPR's top-k accuracy (Karpukhin et al. 2020, section 5)."""

JUDGED, OVERLAP = "Judged@10", "overlap@100"
HOLES: Mapping[str, int] = MappingProxyType({"hole@10": 10, "hole@100": 100, "hole@1000": 1000})
"""Hole rate -> of how many passages: 10 in the paper (table 6), and all that are ranked in the original's evaluation,
which are 100 documents or 1000 passages."""
DIAGNOSTICS = (JUDGED, *HOLES, OVERLAP)
"""They say how far the measures can be trusted, not how good a ranking is."""

BM25 = "bm25"
"""The ranking of BM25 among those of a run: others have their overlap with it."""


def measurable(counts: Mapping[str, int], split: str, *, answered: bool) -> tuple[str, ...]:
    """What a split allows to measure: `MEASURES` if a query has a relevant passage, `COVERAGE` if one has an answer.

    Args:
        counts: of the data set, as in `DatasetMeta.counts`.
        split: of the data set.
        answered: whether its queries have answers.
    """
    judged = counts[f"{split}_queries"] > counts[f"{split}_queries_without_positive"]
    return (*(MEASURES if judged else ()), *(COVERAGE if answered else ()))

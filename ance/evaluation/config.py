"""Settings of evaluation during a run."""

from typing import Literal

from pydantic import PositiveInt

from ance.config import Section


class EvaluationConfig(Section):
    """What is measured on the dev split for every published version."""

    depth: PositiveInt = 1000
    """Passages ranked for each query. A measure with a deeper cutoff is of these, as trec_eval has it: R@1000 of 100
    passages is R@100."""
    max_dev_queries: PositiveInt | None = None
    """Score only the first N dev queries (None: all)."""
    best_by: Literal["RR@10", "nDCG@10", "R@100", "R@1000", "Coverage@20", "Coverage@100"] = "RR@10"
    """The measure by which one version is better than another: it names the best, and early stopping watches it.
    Coverage needs a dev split whose queries have answers, the others one with relevant passages."""

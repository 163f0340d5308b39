"""Settings of evaluation during a run."""

from pydantic import PositiveInt

from ance.config import Section


class EvaluationConfig(Section):
    """What is measured on the dev split for every published version."""

    depth: PositiveInt = 1000
    """Passages ranked for each query, at least the deepest cutoff of the measures."""
    max_dev_queries: PositiveInt | None = None
    """Score only the first N dev queries (None: all)."""

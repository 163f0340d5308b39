"""Queries to begin with."""

from services.search_api.models.base import Body


class Examples(Body):
    """What can be asked of this corpus."""

    queries: tuple[str, ...]
    """A few queries of the run's data set; none of them was trained on, if it has others."""

"""Ways to train on from one warm-up: each is some settings of a run's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NEGATIVES, LOSS = "training.ance.negatives", "training.ance.loss"


class Variant(NamedTuple):
    """A named set of settings."""

    group: str
    """Variants of a group differ in their negatives only."""
    settings: Mapping[str, Any]
    """Dotted key -> value."""


def _variant(group: str, negatives: str, loss: str, **others: Any) -> Variant:
    mining = {f"negatives.{key}": value for key, value in others.items()}
    return Variant(group, MappingProxyType({NEGATIVES: negatives, LOSS: loss, **mining}))


PAIRWISE, IN_BATCH, BEYOND = "pairwise", "in-batch", "beyond"

VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        # The paper's loss, one negative a query.
        "random": _variant(PAIRWISE, "random", "pairwise"),
        "nce": _variant(PAIRWISE, "in_batch", "hardest_in_batch"),
        "bm25": _variant(PAIRWISE, "bm25", "pairwise"),
        "bm25+random": _variant(PAIRWISE, "bm25+random", "pairwise"),
        "ance": _variant(PAIRWISE, "ance", "pairwise"),
        # All other passages of the batch besides.
        "in-batch": _variant(IN_BATCH, "in_batch", "in_batch"),
        "random+in-batch": _variant(IN_BATCH, "random", "in_batch"),
        "bm25+in-batch": _variant(IN_BATCH, "bm25", "in_batch"),
        "ance+in-batch": _variant(IN_BATCH, "ance", "in_batch"),
        # ANCE with in-batch negatives, and one step beyond.
        "margin": _variant(BEYOND, "ance", "in_batch", relative_margin=0.05),
        "simans": _variant(BEYOND, "ance", "in_batch", sampling="simans", simans_a=100.0),
        "momentum": _variant(BEYOND, "ance", "in_batch", momentum=0.3),
        "lookahead": _variant(BEYOND, "ance", "in_batch", lookahead=0.3),
    }
)
"""By name, in the order in which results are shown."""

OF_A_RUN = ("training.ance.", "negatives.")
"""Settings that a variant may change: the warm-up does not depend on them."""

"""Ways to train on from one warm-up: each is some settings of a run's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

NEGATIVES, LOSS = "training.ance.negatives", "training.ance.loss"


class Variant(NamedTuple):
    """A named set of settings."""

    group: str
    """Variants of a group can be held against each other; those of the first two differ in their negatives only."""
    settings: Mapping[str, Any]
    """Dotted key -> value."""


def _variant(group: str, negatives: str, loss: str, *, training: Mapping[str, Any] = {}, **others: Any) -> Variant:
    mining = {f"negatives.{key}": value for key, value in others.items()}
    of_training = {f"training.{key}": value for key, value in training.items()}
    return Variant(group, MappingProxyType({NEGATIVES: negatives, LOSS: loss, **mining, **of_training}))


PAIRWISE, IN_BATCH, BEYOND, MINING = "pairwise", "in-batch", "beyond", "mining"

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
        "lexical": _variant(BEYOND, "ance", "in_batch", training={"ance.lexical_teacher.weight": 1.0}),
        # What becomes of ANCE if it is mined otherwise: nearer, deeper, once, without answers (OpenQA), at every step.
        "ance-top": _variant(MINING, "ance", "pairwise", candidates=20, sample=20),
        "ance-deep": _variant(MINING, "ance", "pairwise", candidates=1000, sample=100),
        "static": _variant(MINING, "ance", "pairwise", training={"refresh": "static"}),
        "static+in-batch": _variant(MINING, "ance", "in_batch", training={"refresh": "static"}),
        "no-answers": _variant(MINING, "ance", "pairwise", exclude_answers=True),
        "adore": _variant(
            MINING,
            "adore",
            "lambda_rank",
            training={"negatives_per_query": 200},
            candidates=200,
            sample=200,
            sampling="top",
        ),
    }
)
"""By name, in the order in which results are shown."""

OF_A_RUN = (
    "training.ance.",
    "negatives.",
    "training.refresh",
    "training.negatives_per_query",
    "training.score_scale",
    "training.batch_size",
)
"""Settings that a variant may change for its own stage: the warm-up has the recipe's."""
OF_THE_SCHEDULE = ("refresh", "lag")
"""What a variant may have of its own instead of --refresh and --lag."""

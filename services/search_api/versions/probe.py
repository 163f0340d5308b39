"""Whether a loaded version may serve: real queries, whose answers are compared with what the version claims."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ance.runtime.contracts import SearchSnapshot
from services.search_api.versions.sample_queries import dev_queries, some_queries
from services.search_api.versions.snapshot import RefusedVersion

DEPTH = 100
MEASURES = ("RR@10", "R@100")
LEAST_SHARE = 0.5
"""Of a recorded metric that must be reached: an approximate index loses a little, a wrong one nearly all."""


def probe(snapshot: SearchSnapshot, max_query_tokens: int, recorded: Mapping[str, float]) -> None:
    """Answer some of the data set's own queries: this warms the snapshot, and shows whether it can serve.

    Args:
        recorded: the dev metrics that the version was published with.

    Raises:
        RefusedVersion: empty, of another dimension or corpus, its vectors or scores are not finite, or it finds far
            less than it did when it was published.
    """
    encoder, index, passages = snapshot.encoder, snapshot.index, len(snapshot.documents.passages)
    if not 0 < index.size <= passages:
        raise RefusedVersion(f"the index has {index.size} passages, the data set {passages}")
    if index.dim != encoder.dim:
        raise RefusedVersion(f"the index has {index.dim} dimensions, its encoder {encoder.dim}")
    judged = not recorded.keys().isdisjoint(MEASURES) and "dev" in snapshot.documents.splits
    texts = dev_queries(snapshot.documents) if judged else some_queries(snapshot.documents)
    vectors = encoder.queries.encode_texts(texts, max_query_tokens)  # (queries, dim)
    if not np.isfinite(vectors).all():
        raise RefusedVersion("its encoder gives vectors that are not finite")
    rows, scores = index.search(vectors, DEPTH)  # (queries, depth) each
    if (rows[:, 0] == -1).any():
        raise RefusedVersion("the index finds nothing for a query, as when its vectors are NaN")
    if not np.isfinite(scores[rows >= 0]).all():
        raise RefusedVersion("the index gives scores that are not finite")
    if (rows >= passages).any() or (rows < -1).any():
        raise RefusedVersion(f"the index answers with other rows than those of the {passages} passages")
    if judged:
        from ance.evaluation.metrics import measure

        qrels = snapshot.documents.qrels("dev").head(len(texts))
        check_metrics(recorded, measure(qrels, rows, MEASURES), len(texts))


def check_metrics(recorded: Mapping[str, float], measured: Mapping[str, float], queries: int) -> None:
    """Compare metrics in [0, 1] of a sample with those of the whole dev split.

    A mean of n values in [0, 1] with expectation m has a standard error of at most sqrt(m (1 - m) / n); four of
    them are allowed for.

    Raises:
        RefusedVersion: less than LEAST_SHARE of a recorded metric was measured.
    """
    for name, value in measured.items():
        least = LEAST_SHARE * recorded.get(name, 0.0)
        allowance = 4 * math.sqrt(least * (1 - least) / queries)
        if value < least - allowance:
            raise RefusedVersion(
                f"{name} on {queries} dev queries is {value:.3f}, but it was published with {recorded[name]:.3f}"
            )

"""The queries that `ance probe` draws, and one negative of each kind for each of them."""

from dataclasses import dataclass

import numpy as np

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.evaluation.systems import rank_dense
from ance.model.bi_encoder import BiEncoder
from ance.model.encoding import TextEncoder
from ance.negatives.mined import ranking_depth
from ance.negatives.sampling import Rows, is_positive, uniform_positions, without_positives
from ance.negatives.sources import ListedNegatives, RandomNegatives
from ance.retrieval.bm25 import BM25
from ance.runtime.contracts import RunConfig


@dataclass(frozen=True, slots=True)
class ProbedQueries:
    """Training queries and one positive of each, int64 [n]; `known` has all their positives, int64 [n, p]."""

    rows: Rows
    positive_rows: Rows
    known: Rows


def draw_queries(dataset: Dataset, min_grade: int, n: int, rng: np.random.Generator) -> ProbedQueries:
    """At most n queries that have a positive to train on, with one of their positives.

    Raises:
        AnceError: fewer than two queries have one.
    """
    qrels = dataset.qrels("train")
    usable = np.flatnonzero(qrels.positive_counts(min_grade))
    if len(usable) < 2:
        raise AnceError(f"dataset '{dataset.name}': {len(usable)} training queries have a positive, a probe needs two")
    rows = np.sort(rng.choice(usable, min(n, len(usable)), replace=False))
    trained = qrels.padded_positives(rows, min_grade)
    choice = rng.integers(0, np.count_nonzero(trained >= 0, axis=1))
    return ProbedQueries(rows, trained[np.arange(len(rows)), choice], qrels.padded_positives(rows))


def negatives_by_kind(
    dataset: Dataset,
    config: RunConfig,
    model: BiEncoder,
    drawn: ProbedQueries,
    rng: np.random.Generator,
    device: str,
) -> tuple[dict[str, Rows], Rows]:
    """One negative of each kind for each query, drawn as training draws them.

    Returns:
        Passage rows by kind, int64 [n] each; and the checkpoint's own top candidates, int64 [n, k], padded with -1.
        ANCE's negatives are drawn from these, as if the index were as new as the model.
    """
    qrels = dataset.qrels("train")
    random = RandomNegatives(len(dataset.passages), qrels)
    depth = ranking_depth(qrels, config.negatives)

    texts = dataset.queries("train").documents
    bm25 = BM25.build(dataset.passages.full_texts())
    sparse, sparse_scores = bm25.search([texts[int(row)]["text"] for row in drawn.rows], depth)

    encoder = TextEncoder(
        model, dataset.special, device=device, dtype=config.encoding.dtype, token_budget=config.encoding.token_budget
    )
    dense = rank_dense(encoder, config.model, dataset, "train", depth, drawn.rows)

    def top(ids: Rows, scores: np.ndarray) -> Rows:
        return without_positives(ids, scores, drawn.known)[0][:, : config.negatives.candidates]

    def listed(table: Rows) -> Rows:
        return ListedNegatives(drawn.rows, table, random).negatives(drawn.rows, 1, rng)[:, 0]

    current = top(dense.ids, dense.scores)
    kinds = {
        "random": random.negatives(drawn.rows, 1, rng)[:, 0],
        "in_batch": _in_batch(drawn, rng),
        "bm25": listed(top(sparse, sparse_scores)),
        "ance": listed(current),
    }
    return kinds, current


def _in_batch(drawn: ProbedQueries, rng: np.random.Generator) -> Rows:
    """The positive of another drawn query.

    Raises:
        AnceError: every other positive answers a query, too.
    """
    available = ~is_positive(drawn.positive_rows[None], drawn.known)
    positions = uniform_positions(available, 1, rng)[:, 0]
    if (positions < 0).any():
        raise AnceError("every drawn positive answers one of the drawn queries: probe with more --queries")
    return drawn.positive_rows[positions]

"""The queries that `ance probe` draws, and one negative of each kind for each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.evaluation.systems import rank_dense
from ance.model.best_chunks import passage_scores
from ance.model.bi_encoder import BiEncoder
from ance.model.chunks import Chunking
from ance.model.encoding import TextEncoder
from ance.negatives.mined import ranking_depth
from ance.negatives.sampling import Rows, is_positive, without_positives
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
    batch_size: int,
    rng: np.random.Generator,
    device: str,
    depths: Sequence[int] = (),
) -> tuple[dict[str, Rows], Rows]:
    """One negative of each kind for each query, drawn as training draws them.

    Args:
        depths: what ANCE's would be with so many candidates each.

    Returns:
        Passage rows by kind, int64 [n] each; and the checkpoint's own top candidates, int64 [n, k], padded with -1.
        ANCE's negatives are drawn from these, as if the index were as new as the model.
    """
    qrels = dataset.qrels("train")
    random = RandomNegatives(len(dataset.passages), qrels)
    deepest = config.negatives.model_copy(update={"candidates": max(config.negatives.candidates, *depths, 0)})
    depth = ranking_depth(qrels, deepest)

    texts = dataset.queries("train").documents
    bm25 = BM25.build(dataset.passages.full_texts())
    sparse, sparse_scores = bm25.search([texts[int(row)]["text"] for row in drawn.rows], depth)

    encoder = TextEncoder(
        model, dataset.special, device=device, dtype=config.encoding.dtype, token_budget=config.encoding.token_budget
    )
    dense = rank_dense(encoder, config.model, dataset, "train", depth, drawn.rows)

    def top(ids: Rows, scores: np.ndarray) -> Rows:
        return without_positives(ids, scores, drawn.known)[0]

    def listed(table: Rows) -> Rows:
        return ListedNegatives(drawn.rows, table, random).negatives(drawn.rows, 1, rng)[:, 0]

    scores = passage_scores(
        encoder,
        Chunking.of(config.model, dataset.special),
        encoder.queries.encode_rows_at(dataset.queries("train").tokens, drawn.rows, config.model.max_query_tokens),
        dataset.passages.tokens.take(drawn.positive_rows),
        config.model.max_passage_tokens,
    )
    ranked, candidates = top(dense.ids, dense.scores), config.negatives.candidates
    current = ranked[:, :candidates]
    kinds = {
        "random": random.negatives(drawn.rows, 1, rng)[:, 0],
        # Any score is the highest with equal chance: one of the batch at random.
        "in_batch": best_in_batch(rng.random(scores.shape), drawn, batch_size, rng),
        "hardest_in_batch": best_in_batch(scores, drawn, batch_size, rng),
        "bm25": listed(top(sparse, sparse_scores)[:, :candidates]),
        "ance": listed(current),
        **{f"ance_top_{depth}": listed(ranked[:, :depth]) for depth in depths},
    }
    return kinds, current


def best_in_batch(
    scores: NDArray[np.floating], drawn: ProbedQueries, batch_size: int, rng: np.random.Generator
) -> Rows:
    """The best scored positive of another query of the same random batch.

    With the model's scores it is the negative that weighs most in a batch (the paper's NCE negative). How hard that is
    depends on the share of the corpus that a batch sees: 31 passages are a lot of 6,000 and nothing of 8.8 million.

    Args:
        scores: float [n, n], of each drawn query with the positives of all.

    Returns:
        Passage rows, int64 [n].

    Raises:
        AnceError: in a batch, every other positive answers a query, too.
    """
    best = np.empty(len(drawn.rows), np.int64)
    batches = max(1, len(drawn.rows) // max(2, batch_size))
    for batch in np.array_split(rng.permutation(len(drawn.rows)), batches):
        rows = drawn.positive_rows[batch]
        others = scores[np.ix_(batch, batch)]
        others[is_positive(np.broadcast_to(rows, others.shape), drawn.known[batch])] = -np.inf
        if np.isneginf(others.max(axis=1)).any():
            raise AnceError("every positive of a batch answers one of its queries: probe with more --queries")
        best[batch] = rows[others.argmax(axis=1)]
    return best

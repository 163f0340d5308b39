"""How hard the negatives of each kind are for a model that none of them has taught yet.

It shows which depth of mining a corpus wants: the top 200 of millions of passages are hard for any query; of a few
thousand they may be no harder than the hardest of a batch, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ance.cli.probe_negatives import ProbedQueries, best_in_batch, draw_queries
from ance.negatives.config import NegativesConfig
from ance.negatives.mined import mine_rows, ranking_depth
from ance.negatives.mixing import Drawn
from ance.negatives.sampling import Rows
from ance.retrieval.topk import StreamingTopK
from benchmarks.negative_training import Branches
from benchmarks.negative_variants import VARIANTS

QUERIES = 1024
DRAWS = 20
"""Negatives of each kind that are drawn for a query, each of another batch where they are of a batch."""
DEPTHS = (5, 20, 50)
"""Of the ranking, beside the recipe's own depth."""
BEYOND = ("margin", "simans")


def hardness(branches: Branches, seed: int) -> dict[str, dict[str, float]]:
    """Hold negatives of each kind against a positive of their query, with the weights after the warm-up.

    Returns:
        Kind -> `loss`, the mean of the paper's loss of a pair, log(1 + exp(scale * (negative - positive))), with the
        recipe's scale; `above`, the share of the negatives that score above the positive.
    """
    config, dataset = branches.config, branches.dataset
    model = branches.warmed_up(seed).model
    rng = np.random.default_rng(seed)
    drawn = draw_queries(dataset, config.training.min_positive_grade, QUERIES, rng)
    tokens, length = dataset.queries("train").tokens, config.model.max_query_tokens
    queries = branches.encoder(model).queries.encode_rows_at(tokens, drawn.rows, length)
    passages = branches.passage_vectors(model)
    scores = queries @ passages[drawn.positive_rows].T  # of each query with the positives of all
    depth = ranking_depth(dataset.qrels("train"), config.negatives)
    top = StreamingTopK(queries, depth)
    top.add(passages, np.arange(len(passages)))

    kinds = dict(_mined(branches, drawn, top.result(), rng))
    hardest = [best_in_batch(scores, drawn, config.training.batch_size, rng) for _ in range(DRAWS)]
    kinds["nce"] = np.stack(hardest, axis=1)
    found = {}
    for kind, negatives in kinds.items():
        lead = np.einsum("qd,qnd->qn", queries, passages[negatives]) - scores.diagonal()[:, None]
        loss = np.logaddexp(0, config.training.score_scale * lead)
        found[kind] = {"loss": round(float(loss.mean()), 5), "above": round(float((lead > 0).mean()), 5)}
    return found


def _mined(
    branches: Branches, drawn: ProbedQueries, ranking: Drawn, rng: np.random.Generator
) -> Iterator[tuple[str, Rows]]:
    """Kind -> passage rows, int64 [n, draws], as training would draw them."""
    mining, qrels = branches.config.negatives, branches.dataset.qrels("train")
    for kind in ("random", "bm25"):
        yield kind, branches.fixed(kind, mining).negatives(drawn.rows, DRAWS, rng)
    for kind, changed in _minings(mining):
        listed = branches.listed(mine_rows(drawn.rows, ranking, qrels, changed, rng))
        yield kind, listed.negatives(drawn.rows, min(DRAWS, changed.sample), rng)


def _minings(mining: NegativesConfig) -> Iterator[tuple[str, NegativesConfig]]:
    """Kinds of ANN negatives, named as the variants that are trained with them."""
    yield "ance", mining
    for depth in DEPTHS:
        sample = min(mining.sample, depth)
        yield f"ance@negatives.candidates={depth}", mining.model_copy(update={"candidates": depth, "sample": sample})
    for name in BEYOND:
        changes = {
            key.removeprefix("negatives."): value
            for key, value in VARIANTS[name].settings.items()
            if key.startswith("negatives.")
        }
        yield name, mining.model_copy(update=changes)

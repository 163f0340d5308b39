"""The negatives of one version, as the indexer publishes them and the trainer reads them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.filters import HasAnswer, holding_answers, positive_scores, within_margin
from ance.negatives.mixing import Pool, mix
from ance.negatives.sampling import (
    Rows,
    Scores,
    is_positive,
    only,
    sample_simans,
    sample_top,
    sample_uniform,
)

ARRAYS = ("queries", "candidates", "negatives", "scores")
DROPPED = "dropped.json"


@dataclass(frozen=True, slots=True)
class MinedNegatives:
    """Hard negatives of every training query.

    Attributes:
        queries: training query rows, int64 [Q].
        candidates: top passage rows in rank order without what the filters drop, int64 [Q, k], padded with -1.
        negatives: rows sampled from the candidates, then from other pools, int64 [Q, n], padded with -1.
        scores: similarity of each sampled negative, float32 [Q, n], -inf where padded or not ranked.
        dropped: filter -> how many ranked passages it dropped, each passage counted by the first that does.
    """

    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    negatives: NDArray[np.int64]
    scores: NDArray[np.float32]
    dropped: dict[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write one .npy file an array, and the counts as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (folder / DROPPED).write_text(json.dumps(self.dropped), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "MinedNegatives":
        """Memory-map a saved version."""
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
        counts = folder / DROPPED  # versions of runs that began before it was written have none
        return cls(**arrays, dropped=json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {})


def mine(
    ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    qrels: Qrels,
    config: NegativesConfig,
    step: int,
    *,
    pools: Sequence[Pool] = (),
    has_answer: HasAnswer | None = None,
) -> MinedNegatives:
    """Turn a ranking of the corpus for every training query into negatives.

    All known positives of a query are dropped, not only the one it is trained with. By default the sample is
    uniform over the candidates (paper section 5). The same arguments give the same sample.

    Args:
        ids: passage rows by rank, int64 [Q, at least candidates + positives of a query], padded with -1.
        scores: their similarities, float32, same shape.
        qrels: judgements of the training split; row i of `ids` belongs to query row i.
        step: version that is mined; with the seed it fixes the sample.
        pools: where some of the sample comes from instead of the candidates.
        has_answer: for `config.exclude_answers`.
    """
    rows = np.arange(len(ids), dtype=np.int64)
    positives = qrels.padded_positives(rows)
    positive = positive_scores(ids, scores, positives)
    kept, kept_scores, dropped = _filtered(ids, scores, positives, positive, config, has_answer)
    candidates, candidate_scores = kept[:, : config.candidates], kept_scores[:, : config.candidates]
    rng = np.random.default_rng([config.seed, step])
    own = config.sample - sum(pool.count(config.sample) for pool in pools)
    match config.sampling:
        case "uniform":
            drawn = sample_uniform(candidates, candidate_scores, own, rng)
        case "top":
            drawn = sample_top(candidates, candidate_scores, own)
        case "simans":
            drawn = sample_simans(candidates, candidate_scores, positive, own, config.simans_a, config.simans_b, rng)
    if pools:
        drawn = mix(drawn, pools, positives, (ids, scores), config.sample, rng)
    return MinedNegatives(rows, np.ascontiguousarray(candidates), *drawn, dropped)


def _filtered(
    ids: Rows,
    scores: Scores,
    positives: Rows,
    positive: Scores,
    config: NegativesConfig,
    has_answer: HasAnswer | None,
) -> tuple[Rows, Scores, dict[str, int]]:
    """What passes all filters, and how many passages each has dropped."""
    dropped: dict[str, int] = {}

    def drop(name: str, ranking: tuple[Rows, Scores], unwanted: NDArray[np.bool_]) -> tuple[Rows, Scores]:
        dropped[name] = int(np.count_nonzero(unwanted & (ranking[0] >= 0)))
        return only(*ranking, ~unwanted)

    ranking = drop("known_positive", (ids, scores), is_positive(ids, positives))
    if config.relative_margin is not None or config.absolute_margin is not None:
        near = within_margin(ranking[1], positive, config.relative_margin or 0.0, config.absolute_margin or 0.0)
        ranking = drop("margin", ranking, near)
    if config.exclude_answers and has_answer is not None:
        ranking = drop("answer", ranking, holding_answers(ranking[0], has_answer))
    return *ranking, dropped


def ranking_depth(qrels: Qrels, config: NegativesConfig) -> int:
    """How deep to rank so that the configured number of candidates remains once positives are dropped."""
    most_positives = int(np.diff(qrels.indptr).max(initial=0))
    return config.candidates + most_positives

"""The negatives of one version, as the indexer publishes them and the trainer reads them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.filters import HasAnswer, holding_answers, positive_scores, within_margin
from ance.negatives.mixing import Drawn, Pool, looked_up, mix
from ance.negatives.pair_scores import PAIRS, PairScores
from ance.negatives.sampling import (
    Rows,
    is_positive,
    only,
    sample_simans,
    sample_top,
    sample_uniform,
)

ARRAYS = ("queries", "candidates", "negatives", "scores")
DROPPED = "dropped.json"
TEACHER = "teacher_"
"""What the files of a teacher's scores begin with."""


@dataclass(frozen=True, slots=True)
class MinedNegatives:
    """Hard negatives of every training query.

    Attributes:
        queries: training query rows, int64 [Q].
        candidates: top passage rows in rank order without what the filters drop, int64 [Q, k], padded with -1.
        negatives: rows sampled from the candidates, then from other pools, int64 [Q, n], padded with -1.
        scores: similarity of each sampled negative, float32 [Q, n], -inf where padded or not ranked.
        dropped: filter -> how many passages it dropped of the ranking and of the other pools, each counted by the first
            that does.
        teacher: a cross-encoder's scores of the positives and the negatives, if the run has one.
    """

    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    negatives: NDArray[np.int64]
    scores: NDArray[np.float32]
    dropped: dict[str, int] = field(default_factory=dict)
    teacher: PairScores | None = None

    def save(self, folder: Path) -> None:
        """Write one .npy file an array, and the counts as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        if self.teacher is not None:
            self.teacher.save(folder, TEACHER)
        (folder / DROPPED).write_text(json.dumps(self.dropped), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> "MinedNegatives":
        """Memory-map a saved version."""
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
        return cls(
            **arrays,
            dropped=json.loads((folder / DROPPED).read_text(encoding="utf-8")),
            teacher=PairScores.open(folder, TEACHER) if (folder / f"{TEACHER}{PAIRS}").exists() else None,
        )


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

    The same arguments give the same sample.

    Args:
        ids: passage rows by rank, int64 [Q, at least candidates + positives of a query], padded with -1.
        scores: their similarities, float32, same shape.
        qrels: judgements of the training split; row i of `ids` belongs to query row i.
        config: which candidates are left out, and how negatives are drawn from the rest.
        step: version that is mined; with the seed it fixes the sample.
        pools: where some of the sample comes from instead of the candidates; the filters are those of the ranking.
        has_answer: for `config.exclude_answers`, which cannot do without.
    """
    rows, rng = np.arange(len(ids), dtype=np.int64), np.random.default_rng([config.seed, step])
    return mine_rows(rows, (ids, scores), qrels, config, rng, pools=pools, has_answer=has_answer)


def mine_rows(
    rows: Rows,
    ranking: Drawn,
    qrels: Qrels,
    config: NegativesConfig,
    rng: np.random.Generator,
    *,
    pools: Sequence[Pool] = (),
    has_answer: HasAnswer | None = None,
) -> MinedNegatives:
    """Turn a ranking of the corpus for some training queries into negatives.

    All known positives of a query are dropped, not only the one it is trained with. By default the sample is
    uniform over the candidates (paper section 5). Arguments are those of `mine`; row i of the ranking belongs to
    query row `rows[i]`.
    """
    filters = _Filters(rows, ranking, qrels, config, has_answer)
    kept = filters.leave(ranking)
    candidates, candidate_scores = kept[0][:, : config.candidates], kept[1][:, : config.candidates]
    own = config.sample - sum(pool.count(config.sample) for pool in pools)
    match config.sampling:
        case "uniform":
            drawn = sample_uniform(candidates, candidate_scores, own, rng)
        case "top":
            drawn = sample_top(candidates, candidate_scores, own)
        case "simans":
            weights = config.simans_a, config.simans_b
            drawn = sample_simans(candidates, candidate_scores, filters.positive, own, *weights, rng)
    for pool in pools:
        others = filters.leave((pool.candidates, looked_up(pool.candidates, ranking)))
        drawn = mix(drawn, others, pool.count(config.sample), rng)
    return MinedNegatives(rows, np.ascontiguousarray(candidates), *drawn, dict(filters.dropped))


class _Filters:
    """What must not become a negative of some queries.

    Attributes:
        positive: score of the best known positive of each query, see `positive_scores`.
        dropped: filter -> how many passages it has dropped.
    """

    def __init__(
        self, rows: Rows, ranking: Drawn, qrels: Qrels, config: NegativesConfig, has_answer: HasAnswer | None
    ) -> None:
        if config.exclude_answers and has_answer is None:
            raise ValueError("exclude_answers: nothing says which passages hold an answer")
        self._rows = rows
        self._positives = qrels.padded_positives(rows)
        self._config = config
        self._has_answer = has_answer if config.exclude_answers else None
        self.positive = positive_scores(*ranking, self._positives)
        self.dropped: Counter[str] = Counter()

    def leave(self, candidates: Drawn) -> Drawn:
        """The candidates that may be negatives, in order and moved to the front.

        A margin asks for the similarity to the query, also of a positive's neighbours. One that the ranking does not
        reach scores no more than its last, and stays.
        """
        config = self._config
        kept = self._drop("known_positive", candidates, is_positive(candidates[0], self._positives))
        if config.relative_margin is not None or config.absolute_margin is not None:
            margins = config.relative_margin or 0.0, config.absolute_margin or 0.0
            kept = self._drop("margin", kept, within_margin(kept[1], self.positive, *margins))
        if self._has_answer is not None:
            kept = self._drop("answer", kept, holding_answers(self._rows, kept[0], self._has_answer))
        return kept

    def _drop(self, name: str, candidates: Drawn, unwanted: NDArray[np.bool_]) -> Drawn:
        self.dropped[name] += int(np.count_nonzero(unwanted & (candidates[0] >= 0)))
        return only(*candidates, ~unwanted)


def ranking_depth(qrels: Qrels, config: NegativesConfig) -> int:
    """How deep to rank so that the configured number of candidates remains once positives are dropped."""
    most_positives = int(np.diff(qrels.indptr).max(initial=0))
    return config.candidates + most_positives

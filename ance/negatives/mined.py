"""The negatives of one version, as the indexer publishes them and the trainer reads them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.filters import HasAnswer, holding_answers, positive_scores, within_margin
from ance.negatives.mixing import Drawn, Pool, mix
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
        dropped: filter -> how many ranked passages it dropped, each passage counted by the first that does.
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
        pools: where some of the sample comes from instead of the candidates.
        has_answer: for `config.exclude_answers`.
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
    positives = qrels.padded_positives(rows)
    positive = positive_scores(*ranking, positives)
    dropped: Counter[str] = Counter()

    def drop(name: str, candidates: Drawn, unwanted: NDArray[np.bool_]) -> Drawn:
        dropped[name] += int(np.count_nonzero(unwanted & (candidates[0] >= 0)))
        return only(*candidates, ~unwanted)

    kept = drop("known_positive", ranking, is_positive(ranking[0], positives))
    if config.relative_margin is not None or config.absolute_margin is not None:
        near = within_margin(kept[1], positive, config.relative_margin or 0.0, config.absolute_margin or 0.0)
        kept = drop("margin", kept, near)
    if config.exclude_answers and has_answer is not None:
        kept = drop("answer", kept, holding_answers(rows, kept[0], has_answer))
        pools = [replace(pool, candidates=_without_answers(pool, rows, has_answer, dropped)) for pool in pools]
    candidates, candidate_scores = kept[0][:, : config.candidates], kept[1][:, : config.candidates]
    own = config.sample - sum(pool.count(config.sample) for pool in pools)
    match config.sampling:
        case "uniform":
            drawn = sample_uniform(candidates, candidate_scores, own, rng)
        case "top":
            drawn = sample_top(candidates, candidate_scores, own)
        case "simans":
            drawn = sample_simans(candidates, candidate_scores, positive, own, config.simans_a, config.simans_b, rng)
    if pools:
        drawn = mix(drawn, pools, positives, ranking, config.sample, rng)
    return MinedNegatives(rows, np.ascontiguousarray(candidates), *drawn, dict(dropped))


def _without_answers(pool: Pool, rows: Rows, has_answer: HasAnswer, dropped: Counter[str]) -> Rows:
    """A pool's candidates, -1 in place of those that hold an answer."""
    held = holding_answers(rows, pool.candidates, has_answer)
    dropped["answer"] += int(np.count_nonzero(held))
    return np.where(held, -1, pool.candidates)


def ranking_depth(qrels: Qrels, config: NegativesConfig) -> int:
    """How deep to rank so that the configured number of candidates remains once positives are dropped."""
    most_positives = int(np.diff(qrels.indptr).max(initial=0))
    return config.candidates + most_positives

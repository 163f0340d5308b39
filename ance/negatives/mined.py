"""The negatives of one version, as the indexer publishes them and the trainer reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ance.data.qrels import Qrels
from ance.negatives.config import NegativesConfig
from ance.negatives.sampling import sample_uniform, without_positives


@dataclass(frozen=True, slots=True)
class MinedNegatives:
    """Hard negatives of every training query.

    Attributes:
        queries: training query rows, int64 [Q].
        candidates: top passage rows in rank order without the known positives, int64 [Q, k], padded with -1.
        negatives: rows sampled uniformly from the candidates, int64 [Q, n], padded with -1.
        scores: similarity of each sampled negative, float32 [Q, n], padded with -inf.
    """

    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    negatives: NDArray[np.int64]
    scores: NDArray[np.float32]

    def save(self, folder: Path) -> None:
        """Write one .npy file an array."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.__slots__:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> "MinedNegatives":
        """Memory-map a saved version."""
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.__slots__})


def mine(
    ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    qrels: Qrels,
    config: NegativesConfig,
    step: int,
) -> MinedNegatives:
    """Turn a ranking of the corpus for every training query into negatives.

    All known positives of a query are dropped, not only the one it is trained with; the sample is uniform over
    the candidates (paper section 5). The same ranking, configuration and step give the same sample.

    Args:
        ids: passage rows by rank, int64 [Q, at least candidates + positives of a query], padded with -1.
        scores: their similarities, float32, same shape.
        qrels: judgements of the training split; row i of `ids` belongs to query row i.
        step: version that is mined; with the seed it fixes the sample.
    """
    rows = np.arange(len(ids), dtype=np.int64)
    kept, kept_scores = without_positives(ids, scores, qrels.padded_positives(rows))
    candidates, candidate_scores = kept[:, : config.candidates], kept_scores[:, : config.candidates]
    rng = np.random.default_rng([config.seed, step])
    negatives, negative_scores = sample_uniform(candidates, candidate_scores, config.sample, rng)
    return MinedNegatives(rows, np.ascontiguousarray(candidates), negatives, negative_scores)


def ranking_depth(qrels: Qrels, config: NegativesConfig) -> int:
    """How deep to rank so that the configured number of candidates remains once positives are dropped."""
    most_positives = int(np.diff(qrels.indptr).max(initial=0))
    return config.candidates + most_positives

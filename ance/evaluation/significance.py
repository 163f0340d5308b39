"""Whether two systems differ on the same queries: the paired randomisation test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1000
"""Relabellings drawn at a time, which bounds the memory at 8 kB a query."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems under one measure."""

    mean_a: float
    mean_b: float
    difference: float
    """mean_b - mean_a."""
    p: float
    """Probability of a difference at least as large, in either direction, were the systems the same."""
    queries: int


def compare(a: NDArray[np.float64], b: NDArray[np.float64], samples: int = 100_000, seed: int = 42) -> Comparison:
    """Fisher's paired randomisation test, two-sided (Smucker et al., CIKM 2007, section 3.1).

    Were the systems the same, each query's two values could as well have come from the other system. The test swaps
    them at random `samples` times; p is the share of relabellings, the one observed among them, whose mean difference
    is at least as large.

    Args:
        a: measure of each query under the first system, float64 [Q], as `metrics.per_query` gives it. Queries that
            are NaN under either system are left out.
        b: under the second, the same queries.
        samples: relabellings; p is never below 1 / (samples + 1).
        seed: fixes the relabellings.

    Raises:
        ValueError: different numbers of queries, or none is left.
    """
    if a.shape != b.shape:
        raise ValueError(f"significance: {len(a)} queries of one system, {len(b)} of the other")
    paired = ~(np.isnan(a) | np.isnan(b))
    if not paired.any():
        raise ValueError("significance: no query is measured under both systems")
    differences = (b - a)[paired]
    observed = abs(differences.sum())
    # Sums in another order differ by rounding, and must not make an equal difference smaller.
    threshold = observed - 1e-12 * np.abs(differences).sum()
    rng = np.random.default_rng(seed)
    as_large = 1
    for start in range(0, samples, _BLOCK):
        signs = rng.integers(0, 2, (min(_BLOCK, samples - start), len(differences)), dtype=np.int8) * 2.0 - 1
        as_large += int(np.count_nonzero(np.abs(signs @ differences) >= threshold))
    return Comparison(
        mean_a=float(a[paired].mean()),
        mean_b=float(b[paired].mean()),
        difference=float(differences.mean()),
        p=as_large / (samples + 1),
        queries=len(differences),
    )

"""The figures of the benchmark of negatives: by variant, and the claim."""

from __future__ import annotations

from benchmarks.harness import Result, machine
from tools.results_claims import CLAIMS, GOAL, MEASURE, compare
from tools.results_data import Results


def summary(results: Results, split: str) -> dict[str, list[float]]:
    """Variant -> mean, lowest and highest RR@10 over the seeds; BM25's own ranking first."""
    found = {"bm25 retrieval": [results.bm25[split][MEASURE]] * 3}
    for name in results.variants:
        if (spread := results.spread(name, split)) is not None:
            found[name] = [round(value, 4) for value in (spread.mean, spread.low, spread.high)]
    return found


def summarise(results: Results, split: str) -> Result:
    """The first claim: under the paper's loss, ANN negatives beat random, BM25's and both mixed.

    Each kind counts with those of its settings that are best on dev. Without all of these the ratio is 0 and the claim
    does not hold.
    """
    means = {name: numbers[0] for name, numbers in summary(results, split).items()}
    found = compare(results, CLAIMS[0], split)
    return Result(
        name="negatives",
        peer=f"{found.theirs if found else 'other'} negatives, same weights, steps and loss",
        ours=means[found.ours] if found else 0.0,
        theirs=means[found.theirs] if found else 0.0,
        ratio=1 + found.gain / 100 if found else 0.0,
        goal=1 + GOAL / 100,
        holds=found is not None and found.gain >= GOAL,
        n=found.seeds if found else 0,
        spread=(1 + found.of_seeds[0] / 100, 1 + found.of_seeds[1] / 100) if found else (0.0, 0.0),
        machine=machine(),
        details={"dataset": results.about.dataset, "split": split, "measure": MEASURE, "mean": means},
    )

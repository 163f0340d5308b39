"""The figures of the benchmark of negatives: by variant, and the claim."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.harness import Result, machine
from tools.results_data import PEERS, chosen

MEASURE = "RR@10"
OURS = "ance"
GOAL = 1.03


def summary(values: Mapping[str, Any], split: str) -> dict[str, list[float]]:
    """Variant -> mean, lowest and highest RR@10 over the seeds; BM25's own ranking first."""
    found = {"bm25 retrieval": [values["bm25"][split][MEASURE]] * 3}
    for name in values["variants"]:
        of_seeds = _of_seeds(values, name, split).values()
        if of_seeds:
            found[name] = [round(value, 4) for value in (mean(of_seeds), min(of_seeds), max(of_seeds))]
    return found


def summarise(values: Mapping[str, Any], split: str) -> Result:
    """The claim: under the paper's loss, ANN negatives beat random, BM25's and both mixed by 3 %.

    Each kind counts with those of its settings that are best on dev. Without all of these the ratio is 0 and the claim
    does not hold.
    """
    means = {name: numbers[0] for name, numbers in summary(values, split).items()}
    of_kind = chosen({name: _of_seeds(values, name, "dev") for name in values["variants"]})
    mine, *peers = (of_kind.get(kind, "") for kind in (OURS, *PEERS))
    best = max((name for name in peers if name in means), key=means.__getitem__, default="")
    complete = mine in means and all(name in means for name in peers)
    ratio = means[mine] / means[best] if complete else 0.0
    of_seeds = [0.0]
    if complete:
        ours, theirs = (_of_seeds(values, name, split) for name in (mine, best))
        of_seeds = [ours[seed] / theirs[seed] for seed in ours.keys() & theirs.keys()]
    return Result(
        name="negatives",
        peer=f"{best or 'other'} negatives, same weights, steps and loss",
        ours=means.get(mine, 0.0),
        theirs=means.get(best, 0.0),
        ratio=ratio,
        goal=GOAL,
        holds=ratio >= GOAL,
        n=len(of_seeds),
        spread=(min(of_seeds), max(of_seeds)),
        machine=machine(),
        details={"dataset": values["about"]["dataset"], "split": split, "measure": MEASURE, "mean": means},
    )


def _of_seeds(values: Mapping[str, Any], variant: str, split: str) -> dict[str, float]:
    """RR@10 of each seed with which a variant was scored on a split."""
    seeds = values["variants"][variant]["seeds"].items()
    return {seed: entry["scores"][split][MEASURE] for seed, entry in seeds if split in entry["scores"]}

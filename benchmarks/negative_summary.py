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
    for name, variant in values["variants"].items():
        of_seeds = [entry["scores"][split][MEASURE] for entry in variant["seeds"].values() if split in entry["scores"]]
        if of_seeds:
            found[name] = [round(value, 4) for value in (mean(of_seeds), min(of_seeds), max(of_seeds))]
    return found


def summarise(values: Mapping[str, Any], split: str) -> Result:
    """The claim: under the paper's loss, ANN negatives beat random, BM25's and both mixed by 3 %.

    Each kind counts with those of its settings that are best on dev. Without all of these the ratio is 0 and the claim
    does not hold.
    """
    means = {name: numbers[0] for name, numbers in summary(values, split).items()}
    of_kind = chosen(
        {
            name: {
                seed: entry["scores"]["dev"][MEASURE] for seed, entry in of["seeds"].items() if "dev" in entry["scores"]
            }
            for name, of in values["variants"].items()
        }
    )
    mine, *peers = (of_kind.get(kind, "") for kind in (OURS, *PEERS))
    best = max((name for name in peers if name in means), key=means.__getitem__, default="")
    complete = mine in means and all(name in means for name in peers)
    ratio = means[mine] / means[best] if complete else 0.0
    of_seeds = [0.0]
    if complete:
        ours, theirs = (values["variants"][name]["seeds"] for name in (mine, best))
        of_seeds = [
            ours[seed]["scores"][split][MEASURE] / theirs[seed]["scores"][split][MEASURE]
            for seed in ours.keys() & theirs.keys()
        ]
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

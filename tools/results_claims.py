"""What ANCE claims of its negatives, and what the results of a data set say of it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import NamedTuple

from tools.results_data import PEERS, Results, best, by_kind, challengers, changes_of, kind_of

MEASURE = "RR@10"
GOAL = 3.0
"""Per cent by which each claim is to be won."""
SEEDS = 3
"""Fewer decide nothing."""
NCE = ("nce",)
IN_BATCH = ("in-batch", "random+in-batch", "bm25+in-batch")
BEYOND = ("margin", "simans", "momentum", "lookahead", "lexical")
MORE_TRAINING = ("training.ance.steps", "training.batch_size", "training.negatives_per_query")
"""Settings by which a variant sees more than the others of its kind."""
OF_MINING = ("negatives.", "training.negatives_per_query", "training.refresh", "refresh", "lag")
"""Settings that in-batch negatives do not know: nothing is mined for them, and no other is drawn."""


class Claim(NamedTuple):
    """Some kinds of negatives teach more than others."""

    title: str
    ours: tuple[str, ...]
    """Of several kinds, the one that is best on dev counts."""
    others: tuple[str, ...]
    """The kind that is best on the split itself is the one to beat."""


CLAIMS = (
    Claim("ANCE against random, BM25 and BM25+random, the paper's loss", ("ance",), PEERS),
    Claim("ANCE+in-batch against in-batch", ("ance+in-batch",), IN_BATCH[:1]),
    Claim("ANCE+in-batch against all others", ("ance+in-batch",), (*PEERS, "ance", *NCE, *IN_BATCH)),
    Claim("the best step beyond against ANCE+in-batch", BEYOND, ("ance+in-batch",)),
)
ASIDE = (
    Claim("ANCE against its warm-up", ("ance",), ("warmup",)),
    Claim("ANCE against NCE, which has a loss of its own", ("ance",), NCE),
)
"""What is no claim, but tells more of one."""


class Comparison(NamedTuple):
    """The variant that a claim is made with, and the best of those that it is held against."""

    ours: str
    theirs: str
    gain: float
    """Per cent of the mean over the seeds."""
    of_seeds: tuple[float, float]
    """Per cent, lowest and highest of a seed, whose variants have the same warm-up."""
    seeds: int
    apart: bool
    """Every seed of the one is better than every seed of the other."""
    open: tuple[str, ...]
    """Variants of either side that might take the place of the one that counts, had they as many seeds on dev."""

    @property
    def decides(self) -> bool:
        """Whether there are seeds enough."""
        return self.seeds >= SEEDS and not self.open

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.decides and self.gain >= GOAL


def variants_that_count(results: Results) -> dict[str, str]:
    """Kind of negatives -> its variant that is best on dev, of those that train on no more than the others."""
    return {kind: best(of_kind) for kind, of_kind in _on_dev(results).items()}


def compare(results: Results, claim: Claim, split: str) -> Comparison | None:
    """What a split says of a claim; None where not all that it takes was measured."""
    dev = _on_dev(results)
    ours = {name: of for kind in claim.ours for name, of in dev.get(kind, {}).items()}
    others = [dev.get(kind, {}) for kind in claim.others]
    if not ours or not all(others):
        return None
    mine, theirs = best(ours), [best(of) for of in others]
    spreads = {name: results.spread(name, split) for name in (mine, *theirs)}
    known = {name: spread for name, spread in spreads.items() if spread is not None}
    if len(known) < len(spreads):
        return None
    rival = max(theirs, key=lambda name: known[name].mean)
    taken, against = (results.variants[name].by_seed(split, MEASURE) for name in (mine, rival))
    of_seeds = [_gain(taken[seed], against[seed]) for seed in taken.keys() & against.keys()]
    return Comparison(
        mine,
        rival,
        _gain(known[mine].mean, known[rival].mean),
        (min(of_seeds), max(of_seeds)),
        len(of_seeds),
        apart=not known[mine].overlaps(known[rival]),
        open=tuple(name for pool in (ours, *others) for name in challengers(pool)),
    )


def _on_dev(results: Results) -> dict[str, dict[str, Mapping[str, float]]]:
    """Kind -> variant -> seed -> its measure on dev, of those that train on no more than the others; empty where not
    taken."""
    alike = {name: one for name, one in results.variants.items() if not set(changes_of(name)) & set(MORE_TRAINING)}
    return by_kind({name: one.by_seed("dev", MEASURE) for name, one in alike.items()})


class Sweep(NamedTuple):
    """ANCE+in-batch beside in-batch, both with the same settings."""

    settings: str
    """The variant of ANCE+in-batch."""
    ours: float
    theirs: float
    """Means over the seeds that both have."""
    seeds: int

    @property
    def gain(self) -> float:
        """Per cent."""
        return _gain(self.ours, self.theirs)


def sweep(results: Results, split: str) -> list[Sweep]:
    """What each setting of ANCE+in-batch makes of its lead over in-batch, where both were measured."""
    found = []
    for name, variant in results.variants.items():
        if kind_of(name) != "ance+in-batch":
            continue
        shared = [f"{key}={value}" for key, value in changes_of(name).items() if not key.startswith(OF_MINING)]
        ours = variant.by_seed(split, MEASURE)
        peer = results.variants.get("@".join(["in-batch", *shared]))
        theirs = {} if peer is None else peer.by_seed(split, MEASURE)
        if seeds := ours.keys() & theirs.keys():
            means = (mean(of[seed] for seed in seeds) for of in (ours, theirs))
            found.append(Sweep(name, *means, len(seeds)))
    return found


def _gain(ours: float, theirs: float) -> float:
    return 100 * (ours / theirs - 1)

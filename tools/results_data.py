"""What the benchmark of negatives measured on one data set, as its record and results/*.yaml hold it."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

Measures = dict[str, float]
PEERS = ("random", "bm25", "bm25+random")
"""Negatives that ANCE's are held against under the paper's loss. NCE has a loss of its own."""


class Values(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class About(Values):
    """What all variants have in common."""

    recipe: str
    dataset: str
    counts: dict[str, int]
    warmup_steps: int
    steps: int
    refresh: int
    lag: int
    settings_sha256: str


class Trained(Values):
    """A variant with one seed."""

    steps: int
    seconds: float
    machine: str
    commit: str
    command: str
    scores: dict[str, Measures]
    """Split -> measure -> value."""


class Variant(Values):
    """One way to train on from the warm-up."""

    group: str
    settings: dict[str, Any]
    """What differs from the recipe: dotted key -> value."""
    seeds: dict[str, Trained]

    def by_seed(self, split: str, measure: str) -> dict[str, float]:
        """A measure of each seed with which it was taken."""
        scores = {seed: trained.scores.get(split, {}) for seed, trained in self.seeds.items()}
        return {seed: of_seed[measure] for seed, of_seed in scores.items() if measure in of_seed}

    def spread(self, split: str, measure: str) -> "Spread | None":
        """A measure over the seeds; None where it was not taken."""
        values = list(self.by_seed(split, measure).values())
        return Spread.of(values) if values else None

    @property
    def steps(self) -> int:
        """Steps that it was trained for."""
        return next(iter(self.seeds.values())).steps

    @property
    def minutes(self) -> float:
        """Mean wall time of training, with mining."""
        return mean(trained.seconds for trained in self.seeds.values()) / 60


class Results(Values):
    """All of a data set."""

    about: About
    bm25: dict[str, Measures]
    """BM25's own ranking: split -> measure -> value."""
    hardness: dict[str, Measures] = {}
    """Kind of negatives -> `loss` of a pair of them with a positive, and the share of them `above` it, with the weights
    after the first seed's warm-up."""
    variants: dict[str, Variant]

    @property
    def kinds(self) -> list[str]:
        """Kinds of negatives, in the order in which they are shown."""
        return list(dict.fromkeys(kind_of(name) for name in self.variants))

    def spread(self, variant: str, split: str, measure: str = "RR@10") -> "Spread | None":
        """A measure of a variant over its seeds; None where it was not taken, or there is no such variant."""
        known = self.variants.get(variant)
        return None if known is None else known.spread(split, measure)

    @property
    def splits(self) -> list[str]:
        """All that something was scored on, in the order in which it was."""
        scored = (split for variant in self.variants.values() for one in variant.seeds.values() for split in one.scores)
        return list(dict.fromkeys([*self.bm25, *scored]))


def kind_of(variant: str) -> str:
    """A variant's kind of negatives: variants of a kind are named `kind` and `kind@settings`."""
    return variant.partition("@")[0]


def changes_of(variant: str) -> dict[str, str]:
    """What a variant has otherwise than its kind, as it is named: dotted key -> value."""
    return {key: value for key, _, value in (change.partition("=") for change in variant.split("@")[1:])}


def by_kind(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, Mapping[str, float]]]:
    """Kind of negatives -> its variants with their values, both in the order given."""
    kinds: dict[str, dict[str, Mapping[str, float]]] = {}
    for name, of in values.items():
        kinds.setdefault(kind_of(name), {})[name] = of
    return kinds


def best(values: Mapping[str, Mapping[str, float]]) -> str:
    """The name with the highest mean, of those with the most seeds; the first where nothing was measured.

    Args:
        values: name -> seed -> value, at least one name.
    """
    most = max(len(of) for of in values.values())
    return max(
        (name for name, of in values.items() if len(of) == most), key=lambda name: mean(values[name].values() or [0])
    )


def challengers(values: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Names with fewer seeds than the `best` that are above it with these: with more they might become it.

    Args:
        values: as for `best`.
    """
    first = values[best(values)]
    fewer = {name: of for name, of in values.items() if of and of.keys() < first.keys()}
    return [name for name, of in fewer.items() if mean(of.values()) > mean(first[seed] for seed in of)]


class Spread(NamedTuple):
    """A measure over several seeds."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of the value of each seed."""
        return cls(mean(values), min(values), max(values), len(values))

    def overlaps(self, other: "Spread") -> bool:
        """Whether some seed of the one is no better than some seed of the other, either way."""
        return self.low <= other.high and other.low <= self.high

"""What the splits of a data set in a store allow, by its manifest alone: nothing is fetched."""

from typing import NamedTuple

from ance.data.answers import answered_splits
from ance.evaluation.measures import measurable
from ance.runtime.artifacts import read_manifest
from ance.runtime.layout import RunLayout, manifest_of
from ance.runtime.store import Store


class SplitFacts(NamedTuple):
    """What can be done with a split."""

    measures: tuple[str, ...]
    """Those that can be taken of its queries."""
    answers: bool
    """Whether its queries have answers."""
    candidates: bool
    """Whether its source gave some to re-rank."""


def split_facts(store: Store, dataset: str) -> dict[str, SplitFacts]:
    """By split, in the order of the data set.

    Raises:
        AnceError: the store has no such data set.
    """
    manifest = read_manifest(store, manifest_of(RunLayout.dataset(dataset)))
    answered, counts = answered_splits(file.path for file in manifest.files), manifest.stats["counts"]
    return {
        split: SplitFacts(
            measures=measurable(counts, split, answered=split in answered),
            answers=split in answered,
            candidates=f"{split}_candidates" in counts,
        )
        for split in manifest.stats["splits"]
    }

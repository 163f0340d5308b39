"""What a refresh encodes: the rows of each part, cut into shards, one a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ance.data.dataset import Dataset
from ance.runtime.contracts import Part, RunConfig


class Shard(NamedTuple):
    """Rows `start` to `stop` of a part, which are encoded together."""

    part: Part
    number: int
    start: int
    stop: int


def rows_of(dataset: Dataset, config: RunConfig, step: int) -> dict[Part, int]:
    """Rows that the refresh with checkpoint `step` encodes of each part, in the order in which they are needed."""
    queries = {split: len(dataset.queries(split)) for split in ("train", "dev") if split in dataset.splits}
    dev, limit = queries.get("dev", 0), config.evaluation.max_dev_queries
    return {
        Part.TRAIN_QUERIES: queries.get("train", 0) if config.training.mines_with(step) else 0,
        Part.DEV_QUERIES: dev if limit is None else min(limit, dev),
        Part.PASSAGES: len(dataset.passages),
    }


def shards_of(rows: Mapping[Part, int], size: int) -> list[Shard]:
    """The shards of `size` rows of all parts, the last of a part with what is left."""
    return [
        Shard(part, number, start, min(start + size, total))
        for part, total in rows.items()
        for number, start in enumerate(range(0, total, size))
    ]


def encoder_step(part: Part, step: int, config: RunConfig) -> int:
    """The checkpoint whose vectors a part has in version `step`: passages that do not learn keep an earlier one's."""
    return config.training.passages_step(step) if part is Part.PASSAGES else step

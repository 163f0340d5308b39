"""The tasks of a refresh: which rows of which part make a shard, and which vectors a shard has."""

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.model.chunks import Chunking
from ance.runtime.contracts import ArtifactRef, EncodeTask, Part, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.tracing import current_traceparent


def rows_of(dataset: Dataset, config: RunConfig) -> dict[Part, int]:
    """Rows that a refresh encodes of each part, in the order in which they are needed."""
    train_queries = len(dataset.queries("train")) if config.training.ance.negatives == "ance" else 0
    dev_queries = len(dataset.queries("dev")) if "dev" in dataset.splits else 0
    limit = config.evaluation.max_dev_queries
    return {
        Part.TRAIN_QUERIES: train_queries,
        Part.DEV_QUERIES: dev_queries if limit is None else min(limit, dev_queries),
        Part.PASSAGES: len(dataset.passages),
    }


def plan(checkpoint: ArtifactRef, rows: dict[Part, int], config: RunConfig) -> list[EncodeTask]:
    """One task a shard, query parts first. The same checkpoint gives the same tasks, so a pass can be resumed.

    Passages that training does not change have the vectors of an earlier version: their shards are found finished.
    """
    layout = RunLayout(config.run)
    steps = dict.fromkeys(Part, checkpoint.step) | {Part.PASSAGES: config.training.passages_step(checkpoint.step)}
    size, traceparent = config.encoding.shard_size, current_traceparent()
    return [
        EncodeTask(
            run_id=config.run,
            step=checkpoint.step,
            part=part,
            shard=shard,
            start=start,
            stop=min(start + size, total),
            checkpoint_uri=checkpoint.manifest_uri,
            checkpoint_sha256=checkpoint.manifest_sha256,
            output_uri=layout.shard(steps[part], part, shard),
            traceparent=traceparent,
        )
        for part, total in rows.items()
        for shard, start in enumerate(range(0, total, size))
    ]


def owners(task: EncodeTask, dataset: Dataset, config: RunConfig) -> NDArray[np.int64]:
    """The row that each vector of a task's shard is of, ascending: every row once, a passage once a chunk (MaxP)."""
    if task.part is not Part.PASSAGES:
        return np.arange(task.start, task.stop)
    passages = dataset.passages.tokens.part(task.start, task.stop)
    return task.start + Chunking.of(config.model, dataset.special).owners(passages)

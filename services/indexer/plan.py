"""The tasks of a refresh, and which vectors the shard of a task has."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ance.data.dataset import Dataset
from ance.model.chunks import Chunking
from ance.runtime.contracts import ArtifactRef, EncodeTask, Part, RunConfig
from ance.runtime.layout import RunLayout
from ance.runtime.shards import encoder_step, shards_of
from ance.runtime.tracing import current_traceparent


def plan(checkpoint: ArtifactRef, rows: Mapping[Part, int], config: RunConfig) -> list[EncodeTask]:
    """One task a shard, query parts first. The same checkpoint gives the same tasks, so a pass can be resumed.

    Passages that training does not change have the vectors of an earlier version: their shards are found finished.
    """
    layout, traceparent = RunLayout(config.run), current_traceparent()
    return [
        EncodeTask(
            run_id=config.run,
            step=checkpoint.step,
            part=shard.part,
            shard=shard.number,
            start=shard.start,
            stop=shard.stop,
            checkpoint_uri=checkpoint.manifest_uri,
            checkpoint_sha256=checkpoint.manifest_sha256,
            output_uri=layout.shard(encoder_step(shard.part, checkpoint.step, config), shard.part, shard.number),
            traceparent=traceparent,
        )
        for shard in shards_of(rows, config.encoding.shard_size)
    ]


def owners(task: EncodeTask, dataset: Dataset, config: RunConfig) -> NDArray[np.int64]:
    """The row that each vector of a task's shard is of, ascending: every row once, a passage once a chunk (MaxP)."""
    if task.part is not Part.PASSAGES:
        return np.arange(task.start, task.stop)
    passages = dataset.passages.tokens.part(task.start, task.stop)
    return task.start + Chunking.of(config.model, dataset.special).owners(passages)

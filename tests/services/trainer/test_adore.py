"""A trainer that learns queries against an index that stays as it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from redis import Redis

from ance.retrieval.index import IndexBuilder
from ance.runtime.artifacts import publish, published
from ance.runtime.contracts import ArtifactRef, Kind
from ance.runtime.shutdown import Shutdown
from services.trainer.loop import TrainingInterrupted
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, background, wait_until
from tests.services.trainer.process import TrainerProcess, same, series, weights
from tests.system.tiny import PASSAGES, TRAIN

STEPS, SHARD = 12, 50
TRAINING = {
    "checkpoint_steps": 4,
    "max_async_gap": 0,
    "negatives_per_query": 3,
    "warmup": {"steps": 0, "learning_rate": 1e-3, "negatives": "random"},
    "ance": {"steps": STEPS, "learning_rate": 3e-3, "negatives": "adore", "loss": "in_batch"},
}


def checkpoint(run: ServiceRun) -> ArtifactRef | None:
    return run.store.read_pointer(run.layout.pointer("checkpoint"))


def passages_of(run: ServiceRun, ref: ArtifactRef) -> np.ndarray:
    return run.encoder(ref).encode_rows(run.dataset.passages.tokens, 0, PASSAGES, 16)


def queries_of(run: ServiceRun, ref: ArtifactRef) -> np.ndarray:
    return run.encoder(ref).queries.encode_rows(run.dataset.queries("train").tokens, 0, TRAIN, 8)


def mean_rank(queries: np.ndarray, passages: np.ndarray) -> float:
    """Of the positives of the training queries: passage q answers query q."""
    scores = queries @ passages.T
    return float((scores > np.diagonal(scores)[:, None]).sum(axis=1).mean())


def refresh(run: ServiceRun) -> None:
    """As an indexer leaves it: vectors and index of the checkpoint that begins the stage."""
    wait_until(lambda: checkpoint(run) is not None, seconds=60)
    ref = checkpoint(run)
    assert ref is not None
    vectors = passages_of(run, ref)
    staging, index = Path(mkdtemp(dir=run.cache)), IndexBuilder("Flat", vectors.shape[1], 1000, {})
    (staging / "passages").mkdir()
    for shard, start in enumerate(range(0, PASSAGES, SHARD)):
        np.save(staging / "passages" / f"{shard}.npy", vectors[start : start + SHARD])
    index.add(vectors, np.arange(PASSAGES))
    publish(run.store, run.layout.embeddings(0), staging, kind=Kind.EMBEDDINGS, run_id=run.config.run)
    index.finish(staging := Path(mkdtemp(dir=run.cache)))
    pointer = run.layout.pointer("index")
    publish(run.store, run.layout.index(0), staging, kind=Kind.INDEX, run_id=run.config.run, pointer=pointer)


def train(run: ServiceRun, client: Redis, shutdown: Shutdown, stop_after: int | None = None) -> TrainerProcess:
    process = TrainerProcess(run, client, shutdown)
    process.run(after_step=lambda step: shutdown.request() if step == stop_after else None)
    return process


def test_queries_learn_against_the_index_and_the_last_checkpoint_encodes_passages_as_the_first(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=TRAINING)
    with background(lambda: refresh(run), stop=lambda: None):
        process = train(run, client, shutdown)
    first, last = run.store.read_pointer(run.layout.pointer("index")), checkpoint(run)
    assert first is not None and last is not None and (last.step, last.final) == (STEPS, True)
    start = published(run.store, run.layout.checkpoint(0))
    assert start is not None
    np.testing.assert_allclose(passages_of(run, last), passages_of(run, start), atol=1e-6)
    before, after = queries_of(run, start), queries_of(run, last)
    assert not np.allclose(before, after, atol=1e-2)
    assert mean_rank(after, passages_of(run, start)) < 0.8 * mean_rank(before, passages_of(run, start))
    value = process.metrics.registry.get_sample_value
    assert value("ance_trainer_waiting") == 0
    assert value("ance_trainer_candidates_dropped_total", {"filter": "known_positive"}) > 0
    assert {record["async_gap"] for record in series(run)} == {None}, "no negative is older than its step"


def test_a_resumed_run_ends_with_exactly_the_weights_of_an_undisturbed_one(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    straight, interrupted = new_run(training=TRAINING), new_run(training=TRAINING)
    with background(lambda: refresh(straight), stop=lambda: None):
        train(straight, client, shutdown)
    with (
        background(lambda: refresh(interrupted), stop=lambda: None),
        Shutdown(signals=()) as stop,
        pytest.raises(TrainingInterrupted),
    ):
        train(interrupted, client, stop, stop_after=6)
    train(interrupted, client, shutdown)
    assert same(weights(interrupted, STEPS), weights(straight, STEPS))
    assert [record["loss"] for record in series(interrupted)] == [record["loss"] for record in series(straight)]


def test_the_wait_for_the_index_ends_with_the_wish_to_stop(new_run: NewRun, client: Redis, shutdown: Shutdown) -> None:
    run = new_run(training=TRAINING)
    process = TrainerProcess(run, client, shutdown)

    def stop() -> None:
        wait_until(lambda: process.metrics.registry.get_sample_value("ance_trainer_waiting") == 1)
        shutdown.request()

    with background(stop, stop=lambda: None), pytest.raises(TrainingInterrupted, match="index of the stage"):
        process.run()

"""A refresh while everything dies: each shard once, each vector right, hardly any work done twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from ance.runtime.artifacts import fetch, published, read_manifest
from ance.runtime.contracts import ArtifactRef, Part
from ance.runtime.dead_letters import DeadLetters
from ance.runtime.local_redis import LocalRedis
from ance.runtime.queue import TaskQueue
from ance.runtime.redis_client import connect
from services.indexer.plan import plan, rows_of
from tests.chaos.conftest import STEP, conditions, new_run
from tests.chaos.faults import Faults
from tests.chaos.processes import Fleet, wait_for
from tests.chaos.reader import Reader, shards_in
from tests.services.service_run import ServiceRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

STOPPED_SECONDS = 4.0
"""Longer than any lease."""
DUPLICATES = 0.05


def assert_undisturbed(run: ServiceRun, checkpoint: ArtifactRef) -> None:
    """What is published is what a run without any accident publishes, to the bit."""
    tasks = plan(checkpoint, rows_of(run.dataset, run.config), run.config)
    manifest = read_manifest(run.store, f"{run.layout.embeddings(STEP)}/manifest.json")
    prefix = f"{run.layout.embeddings(STEP)}/"
    assert sorted(entry.path for entry in manifest.files) == sorted(t.output_uri.removeprefix(prefix) for t in tasks)
    encoder, folder = run.encoder(checkpoint), fetch(run.store, run.layout.embeddings(STEP), run.cache)
    texts = {
        Part.PASSAGES: (run.dataset.passages, run.config.model.max_passage_tokens),
        Part.TRAIN_QUERIES: (run.dataset.queries("train"), run.config.model.max_query_tokens),
        Part.DEV_QUERIES: (run.dataset.queries("dev"), run.config.model.max_query_tokens),
    }
    for task in tasks:
        rows, max_tokens = texts[task.part]
        expected = encoder.encode_rows(rows.tokens, task.start, task.stop, max_tokens)
        np.testing.assert_array_equal(np.load(folder / task.output_uri.removeprefix(prefix)), expected)
    index = run.store.read_pointer(run.layout.pointer("index"))
    assert index is not None and index.final
    assert published(run.store, run.layout.negatives(STEP)) is not None


def test_a_refresh_survives_the_death_of_everything(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(world, tmp_path, "chaos", shard_size=1)
    shards = len(plan(checkpoint, rows_of(run.dataset, run.config), run.config))
    fleet = Fleet(conditions(tmp_path, run, redis, faults=Faults(seed=7)))
    fleets.append(fleet)
    names = ["indexer-0", "indexer-1", "inferencer-0", "inferencer-1", "inferencer-2"]
    for name in names:
        fleet.start(name)

    def restart_redis() -> None:
        redis.stop()
        redis.start()

    def flush_redis() -> None:
        with Redis(port=redis.port) as admin:
            admin.flushall()

    def stop_for_a_while(name: str) -> None:
        fleet.signal(name, signal.SIGSTOP)
        timer = threading.Timer(STOPPED_SECONDS, fleet.signal, (name, signal.SIGCONT))
        timer.daemon = True
        timer.start()

    def kill(name: str) -> None:
        fleet.signal(name, signal.SIGKILL)

    accidents: list[Callable[[], object]] = [
        lambda: kill("inferencer-0"),
        lambda: stop_for_a_while("inferencer-1"),
        lambda: kill("indexer-0"),
        restart_redis,
        lambda: kill("inferencer-2"),
        lambda: stop_for_a_while("indexer-1"),
        flush_redis,
        lambda: kill("inferencer-1"),
        lambda: kill("indexer-1"),
    ]
    embeddings = run.path(run.layout.embeddings(STEP))
    with Reader(run, STEP) as reader:
        for number, accident in enumerate(accidents, 1):
            due = number * shards // (len(accidents) + 1)
            wait_for(lambda due=due: shards_in(embeddings) >= due, 120, fleet.revive)
            assert shards_in(embeddings) < shards, "too late for an accident"
            accident()
        wait_for(lambda: not fleet.running("indexer"), 150, fleet.revive)
    assert reader.looks > 10 and reader.complaints == []
    assert_undisturbed(run, checkpoint)
    begun = (tmp_path / "begun").read_text().splitlines()
    assert len(set(begun)) == shards == 360
    assert len(begun) - shards < DUPLICATES * shards


def test_a_poisonous_shard_stops_the_refresh_says_why_and_can_be_put_back(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]
) -> None:
    run, checkpoint = new_run(world, tmp_path, "poison", shard_size=40)
    tasks = plan(checkpoint, rows_of(run.dataset, run.config), run.config)
    poison = tmp_path / "poison"
    poison.write_text(tasks[-1].id)
    fleet = Fleet(conditions(tmp_path, run, redis, poison=poison))
    fleets.append(fleet)
    for name in ("indexer-0", "inferencer-0"):
        fleet.start(name)
    wait_for(lambda: not fleet.running("indexer"), 120)
    assert fleet.processes["indexer-0"].exitcode == 2
    assert "this row cannot be encoded" in (tmp_path / "indexer-0.log").read_text()
    assert run.store.read_pointer(run.layout.pointer("index")) is None

    with connect(redis.url) as client:
        letters: DeadLetters = TaskQueue(client, "poison", "a person").dead_letters
        assert [letter.task_id for letter in letters] == [tasks[-1].id]
        poison.unlink()
        assert letters.requeue() == [tasks[-1].id]
    fleet.start("indexer-0")
    wait_for(lambda: not fleet.running("indexer"), 120)
    assert fleet.processes["indexer-0"].exitcode == 0
    assert_undisturbed(run, checkpoint)

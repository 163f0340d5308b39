"""Two indexers share the passages, and publish what one alone would: the same negatives, metrics and answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from ance.retrieval.ranged_index import RangedIndex, open_index
from ance.runtime.artifacts import fetch
from ance.runtime.redis.local_server import LocalRedis
from tests.chaos.conftest import STEP, conditions, fleets, new_run, redis, world
from tests.chaos.outcome import assert_undisturbed
from tests.chaos.processes import Fleet, wait_for
from tests.services.service_run import ServiceRun

__all__ = ["fleets", "redis", "world"]


def mined(run: ServiceRun) -> dict[str, object]:
    """What a refresh has come to, without times."""
    record = json.loads(run.store.read(run.layout.refresh_record(STEP)))
    kept = {name: record[name] for name in ("rows", "overlap", "dropped", "recall_probe", "dev")}
    folder = fetch(run.store, run.layout.negatives(STEP), run.cache)
    return kept | {path.name: np.load(path).tolist() for path in sorted(folder.glob("*.npy"))}


@pytest.mark.timeout(180)
def test_two_processes_mine_a_range_each(world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet]) -> None:
    alone, checkpoint = new_run(world, tmp_path, "alone", shard_size=20)
    fleet = Fleet(conditions(tmp_path, alone, redis))
    fleets.append(fleet)
    for name in ("indexer-0", "inferencer-0"):
        fleet.start(name)

    (tmp_path / "shared").mkdir()
    shared, same_checkpoint = new_run(world, tmp_path / "shared", "shared", shard_size=20)
    pair = Fleet(conditions(tmp_path / "shared", shared, redis, ANCE_INDEXER_RANGES="2"))
    fleets.append(pair)
    for name in ("indexer-0", "indexer-1"):
        pair.start(name)
    leases = [f"ance:lease:{{shared/indexer-range-{number}}}" for number in range(2)]
    with Redis(port=redis.port, decode_responses=True) as client:
        wait_for(lambda: all(client.mget(leases)), 60)
        holders = {str(holder).split()[1].rpartition("-")[0] for holder in client.mget(leases)}
    assert holders == {"indexer-0", "indexer-1"}, "each has a range"
    pair.start("inferencer-0")
    for of_run in (fleet, pair):
        wait_for(lambda of_run=of_run: of_run.finished("indexer"), 120, of_run.revive)  # type: ignore[misc]

    assert same_checkpoint.manifest_sha256 != checkpoint.manifest_sha256, "of another run"
    assert mined(shared) == mined(alone)
    assert_undisturbed(shared, same_checkpoint)
    queries = np.random.default_rng(0).standard_normal((8, 32), np.float32)
    one, two = (open_index(fetch(run.store, run.layout.index(STEP), run.cache)) for run in (alone, shared))
    assert isinstance(two, RangedIndex)
    np.testing.assert_array_equal(two.search(queries, 50)[0], one.search(queries, 50)[0])

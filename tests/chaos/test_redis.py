"""Redis fails over or forgets everything in the middle of a refresh: no shard is lost, and hardly any time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ance.runtime.redis.local_server import LocalRedis
from tests.chaos.accidents import Accident, flush, survive
from tests.chaos.conftest import STEP, Reachable, conditions, new_run
from tests.chaos.outcome import longest_pause
from tests.chaos.processes import Fleet
from tests.chaos.sentinels import SentinelTrio

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

LOST_SECONDS = 10.0
"""Longest time without a new shard."""
DUPLICATES = 0.05
"""Share of the shards that may be encoded twice."""


def refresh(name: str, world: Path, tmp_path: Path, redis: Reachable, fleets: list[Fleet], accident: Accident) -> None:
    """A pass with one accident in its middle, after which nothing is missing."""
    run, checkpoint = new_run(world, tmp_path, name, shard_size=1)
    # The queue is compared with the store as rarely as by default: what is lost must be noticed otherwise.
    fleet = Fleet(conditions(tmp_path, run, redis, ANCE_RECONCILE_SECONDS="30"))
    fleets.append(fleet)
    for process in ("indexer-0", "inferencer-0", "inferencer-1"):
        fleet.start(process)
    shards, duplicates = survive(run, checkpoint, fleet, [accident], tmp_path / "begun")
    assert duplicates < DUPLICATES * shards
    assert longest_pause(run.path(run.layout.embeddings(STEP))) < LOST_SECONDS


def test_a_failover_costs_no_shard_and_less_than_ten_seconds(
    world: Path, tmp_path: Path, fleets: list[Fleet], repetition: int
) -> None:
    with SentinelTrio() as trio:
        before = trio.master
        refresh(f"failover-{repetition}", world, tmp_path, trio, fleets, trio.kill_master)
        assert trio.master != before


def test_a_flush_costs_no_shard_and_less_than_ten_seconds(
    world: Path, tmp_path: Path, redis: LocalRedis, fleets: list[Fleet], repetition: int
) -> None:
    refresh(f"flush-{repetition}", world, tmp_path, redis, fleets, lambda: flush(redis))

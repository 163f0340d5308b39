"""How a leader leaves, and whom it tells."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from ance.errors import AnceError
from ance.retrieval.config import IndexConfig
from ance.runtime.contracts import ArtifactRef
from ance.runtime.index_backend import FaissBackend, IndexBackend
from ance.runtime.kubernetes.client import Cluster
from ance.runtime.kubernetes.scaler import Scaler
from ance.runtime.kubernetes.scaling import ScalingPolicy
from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from services.indexer.collector import PassInterrupted
from services.indexer.loop import Indexer
from services.indexer.progress import PassProgress
from services.indexer.refresh import Refresh
from tests.kubernetes_api.server import KubernetesApi
from tests.services.indexer.passes import Pass
from tests.services.indexer.test_loop import announce, indexer
from tests.services.service_run import background, wait_until

DEPLOYMENT = "ance-inferencer"


@dataclass
class StandIn:
    """A refresh that hangs in work which cannot stop, or fails."""

    error: AnceError | None = None
    backend: IndexBackend = field(default_factory=lambda: FaissBackend(IndexConfig()))
    miner: None = None

    def __post_init__(self) -> None:
        self.began, self.release = threading.Event(), threading.Event()

    def run(self, checkpoint: ArtifactRef, lease: RunLease) -> None:
        self.began.set()
        if self.error is not None:
            raise self.error
        self.release.wait(30)


def with_refresh(leader: Indexer, refresh: StandIn) -> tuple[Indexer, list[tuple[str, str]]]:
    """The indexer with another refresh, and what it announces."""
    told: list[tuple[str, str]] = []
    note = lambda reason, text: told.append((reason, text))  # noqa: E731
    return replace(leader, refresh=cast(Refresh, refresh), announce=note), told


def test_on_shutdown_the_lease_is_released_before_anything_else(under_way: Pass) -> None:
    announce(under_way, 20)
    hanging = StandIn()
    successor = RunLease(RedisLease(under_way.client, f"{under_way.run.config.run}/indexer", "next"))
    with indexer(under_way) as made:
        leader, _ = with_refresh(made, hanging)
        thread = threading.Thread(target=leader.run)
        thread.start()
        assert hanging.began.wait(10)
        under_way.shutdown.request()
        assert successor.acquire()
        assert thread.is_alive(), "the old leader is still in the middle of it"
        hanging.release.set()
        thread.join()
    assert not successor.lost.is_set()
    successor.release()


def test_who_has_released_the_lease_publishes_nothing_more(under_way: Pass) -> None:
    under_way.lease.acquire()
    under_way.collector.require_leadership()
    under_way.lease.release()
    with pytest.raises(PassInterrupted):
        under_way.collector.require_leadership()


def test_a_refresh_and_its_index_are_announced(under_way: Pass) -> None:
    announce(under_way, 80, final=True)
    told: list[str] = []
    with indexer(under_way) as made, under_way.worker.working():
        replace(made, announce=lambda reason, note: told.append(f"{reason}: {note}")).run()
    assert told == [
        "RefreshStarted: refresh with the checkpoint of step 80",
        "IndexPublished: index and negatives of step 80",
    ]


def test_a_refresh_that_is_given_up_is_announced_with_its_reason(under_way: Pass) -> None:
    announce(under_way, 20)
    with indexer(under_way) as made:
        leader, told = with_refresh(made, StandIn(AnceError("task x failed 5 times")))
        with pytest.raises(AnceError, match="task x"):
            leader.run()
    assert told[1:] == [("RefreshAborted", "refresh with the checkpoint of step 20: task x failed 5 times")]


def test_the_end_of_the_run_lets_the_inferencers_go_and_the_pod_may_stay(
    under_way: Pass, api: KubernetesApi, cluster: Cluster
) -> None:
    api.add_deployment(DEPLOYMENT, 3)
    announce(under_way, 80, final=True)
    progress = PassProgress()
    policy = ScalingPolicy(minimum=0, maximum=8, target_seconds=600, stabilisation_seconds=300)
    scaler = Scaler(cluster, DEPLOYMENT, policy, progress.workload)
    with indexer(under_way) as made, under_way.worker.working():
        leader = replace(made, progress=progress, scaler=scaler, on_complete="wait")
        with background(leader.run, stop=under_way.shutdown.request):
            wait_until(lambda: api.replicas(DEPLOYMENT) == 0)
            assert leader.health.check("/livez") == leader.health.check("/readyz") == ""

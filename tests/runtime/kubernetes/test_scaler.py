"""The scaler against the scale subresource."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from ance.runtime.kubernetes.client import Cluster
from ance.runtime.kubernetes.scaler import Scaler
from ance.runtime.kubernetes.scaling import ScalingPolicy, Workload
from tests.kubernetes_api.server import KubernetesApi
from tests.runtime.conftest import wait_until

DEPLOYMENT = "ance-inferencer"
POLICY = ScalingPolicy(minimum=0, maximum=8, target_seconds=600, stabilisation_seconds=300)
BUSY = Workload(remaining=90_000, rate=50.0)  # three pods


class World:
    """What the scaler sees, in the hands of the test."""

    def __init__(self, cluster: Cluster, policy: ScalingPolicy = POLICY, period_seconds: float = 15.0) -> None:
        self.workload = Workload()
        self.time = 0.0
        self.scaler = Scaler(
            cluster, DEPLOYMENT, policy, lambda: self.workload, period_seconds, clock=lambda: self.time
        )


@pytest.fixture
def world(api: KubernetesApi, cluster: Cluster) -> World:
    api.add_deployment(DEPLOYMENT, 1)
    return World(cluster)


def test_a_pass_scales_up_at_once_and_its_end_scales_down_after_the_window(api: KubernetesApi, world: World) -> None:
    world.workload = BUSY
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 3
    world.workload = Workload(rate=50.0)
    for world.time in (10.0, 200.0, 299.0):
        world.scaler.look()
        assert api.replicas(DEPLOYMENT) == 3
    world.time = 311.0
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 0


def test_the_next_pass_starts_from_zero_pods(api: KubernetesApi, world: World) -> None:
    world.scaler.look()
    world.time = 301.0
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 0
    world.workload = Workload(remaining=1000)
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 1


def test_the_end_of_training_scales_down_without_waiting(api: KubernetesApi, world: World) -> None:
    world.workload = BUSY
    world.scaler.look()
    world.workload = replace(BUSY, remaining=0, ended=True)
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 0


def test_nothing_is_written_where_nothing_changes(api: KubernetesApi, world: World) -> None:
    world.workload = BUSY
    for world.time in (0.0, 15.0, 30.0):
        world.scaler.look()
    assert api.count("patch", "deployments/scale") == 1


def test_it_looks_by_itself_as_often_as_it_is_entered(api: KubernetesApi, cluster: Cluster) -> None:
    api.add_deployment(DEPLOYMENT, 0)
    world = World(cluster, period_seconds=0.02)
    for remaining, replicas in ((30_000, 1), (60_000, 2)):
        world.workload = Workload(remaining=remaining, rate=50.0)
        with world.scaler:
            assert wait_until(lambda replicas=replicas: api.replicas(DEPLOYMENT) == replicas)  # type: ignore[misc]
    looked = api.count("get", "deployments/scale")
    assert not wait_until(lambda: api.count("get", "deployments/scale") > looked, seconds=0.2)


def test_a_server_that_is_away_is_said_once_and_the_next_look_makes_up_for_it(
    api: KubernetesApi, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.workload = BUSY
    api.stop()
    with caplog.at_level(logging.WARNING):
        world.scaler.look()
        world.scaler.look()
    assert [record.message.split(",")[0] for record in caplog.records] == ["the API server is unreachable"]
    api.start()
    world.scaler.look()
    assert api.replicas(DEPLOYMENT) == 3


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_refusal_is_said_once_and_the_indexer_goes_on(
    api: KubernetesApi, world: World, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    api.faults.status["deployments/scale"] = status
    world.workload = BUSY
    with caplog.at_level(logging.WARNING):
        world.scaler.look()
        world.scaler.look()
    (record,) = caplog.records
    assert f"get deployments/{DEPLOYMENT}/scale: {status}" in record.message

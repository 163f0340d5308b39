"""A scale-down takes idle pods first, and the API server hears only of changes."""

from __future__ import annotations

import logging

import pytest

from ance.runtime.kubernetes.client import Cluster
from ance.runtime.kubernetes.deletion_cost import ANNOTATION, open_deletion_cost, untold
from tests.kubernetes_api.kinds import Resource
from tests.kubernetes_api.server import KubernetesApi
from tests.runtime.conftest import wait_until

POD = Resource("v1", "default", "pods", "encoder-0")


def cost(api: KubernetesApi) -> str | None:
    annotations = api.objects.get(POD)["metadata"].get("annotations", {})
    return annotations.get(ANNOTATION)


def test_a_busy_pod_costs_more_than_an_idle_one_and_leaves_as_idle(api: KubernetesApi, cluster: Cluster) -> None:
    with open_deletion_cost(cluster) as tell_busy:
        tell_busy(True)
        assert wait_until(lambda: cost(api) == "100")
        tell_busy(False)
        assert wait_until(lambda: cost(api) == "0")
        tell_busy(True)
        assert wait_until(lambda: cost(api) == "100")
    assert cost(api) == "0"


def test_only_edges_are_patched(api: KubernetesApi, cluster: Cluster) -> None:
    with open_deletion_cost(cluster) as tell_busy:
        for busy in (False, False, True, True, True):
            tell_busy(busy)
        assert wait_until(lambda: cost(api) == "100")
    assert api.count("patch", "pods") == 2, "busy, and idle at the end"


def test_a_missing_role_is_said_once_and_the_work_goes_on(
    api: KubernetesApi, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    api.forbid("pods")
    with caplog.at_level(logging.WARNING), open_deletion_cost(cluster) as tell_busy:
        for busy in (True, False, True):
            tell_busy(busy)
    (record,) = caplog.records
    assert "patch pods/encoder-0: 403" in record.message


def test_outside_of_kubernetes_nobody_is_told() -> None:
    with open_deletion_cost(None) as tell_busy:
        assert tell_busy is untold
        tell_busy(True)

"""How the API server is found, and what its answers mean."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ance.errors import AnceError
from ance.runtime.kubernetes import client
from ance.runtime.kubernetes.client import Cluster, Conflict, Forbidden, Missing, Refused, asking, now, open_cluster
from ance.runtime.outage import Unreachable
from tests.kubernetes_api.server import KubernetesApi


def read_pod(cluster: Cluster, name: str = "encoder-0", seconds: float = 5.0) -> str:
    from kubernetes.client import CoreV1Api

    with asking(f"get pods/{name}"):
        pod = CoreV1Api(cluster.api).read_namespaced_pod(name, cluster.namespace, _request_timeout=seconds)
    assert pod.metadata is not None
    return str(pod.metadata.name)


def test_the_kubeconfig_that_the_environment_names_is_used(cluster: Cluster) -> None:
    assert read_pod(cluster) == "encoder-0"


@pytest.mark.parametrize("variable", ["POD_NAME", "POD_NAMESPACE", "POD_UID"])
def test_a_pod_that_does_not_know_itself_is_told_which_variable_to_set(
    api: KubernetesApi, tmp_path: Path, variable: str
) -> None:
    environment = api.environment(tmp_path)
    del environment[variable]
    with pytest.raises(AnceError, match=f"{variable} is not set.*downward API"):
        open_cluster(environment)


@pytest.mark.parametrize(
    "surroundings",
    [{"KUBECONFIG": "/nowhere"}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}],
)
def test_without_a_server_the_message_says_what_to_do(surroundings: dict[str, str]) -> None:
    pod = {"POD_NAME": "a", "POD_NAMESPACE": "b", "POD_UID": "c"}
    with pytest.raises(AnceError, match=r"no API server.*automountServiceAccountToken.*ANCE_KUBERNETES=false"):
        open_cluster(pod | surroundings)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Forbidden), (403, Forbidden), (404, Missing), (409, Conflict), (422, Refused)]
    + [(status, Unreachable) for status in (408, 429, 500, 503)],
)
def test_each_status_becomes_an_error_of_ours(
    api: KubernetesApi, cluster: Cluster, status: int, kind: type[Exception]
) -> None:
    api.faults.status["pods"] = status
    with pytest.raises(kind, match=f"get pods/encoder-0: {status}"):
        read_pod(cluster)


def test_a_permission_that_lacks_is_named_with_its_remedy(api: KubernetesApi, cluster: Cluster) -> None:
    api.forbid("pods")
    with pytest.raises(Forbidden, match=r"get pods/encoder-0: 403.*rbac\.create=true"):
        read_pod(cluster)


def test_a_server_that_is_away_is_unreachable_and_asked_once(api: KubernetesApi, cluster: Cluster) -> None:
    api.stop()
    started = time.monotonic()
    with pytest.raises(Unreachable):
        read_pod(cluster)
    assert time.monotonic() - started < 1
    api.start()
    assert read_pod(cluster) == "encoder-0"


def test_a_server_that_hangs_is_unreachable_after_the_time_allowed(api: KubernetesApi, cluster: Cluster) -> None:
    api.faults.seconds = 2
    started = time.monotonic()
    with pytest.raises(Unreachable):
        read_pod(cluster, seconds=0.2)
    assert time.monotonic() - started < 1
    assert api.count("get", "pods") == 1, "the client does not repeat it by itself"


def test_a_time_has_six_decimals_even_when_they_are_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noon(client.datetime):
        @classmethod
        def now(cls, tz: object = None) -> client.datetime:
            return client.datetime(2026, 1, 1, 12, tzinfo=client.UTC)

    monkeypatch.setattr(client, "datetime", Noon)
    assert now().isoformat() == "2026-01-01T12:00:00.000001+00:00"


def test_services_outside_of_kubernetes_never_import_the_client() -> None:
    services = ", ".join(f"services.{name}.wiring" for name in ("trainer", "inferencer", "indexer", "search_api"))
    program = f"import sys, {services}; sys.exit('kubernetes' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

"""A whole process in a pod: found by its probes, elected by a Lease, and gone on SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import yaml

from ance.cli.stack import free_port
from ance.runtime.redis.local_server import LocalRedis
from tests.kubernetes_api.fixtures import api
from tests.kubernetes_api.server import KubernetesApi
from tests.runtime.test_health import get
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, wait_until

__all__ = ["api"]

DEPLOYMENT = "ance-inferencer"
START_SECONDS = 120.0
"""Importing PyTorch on a busy machine."""


class Process:
    """A service as the chart starts it."""

    def __init__(self, service: str, run: ServiceRun, redis: LocalRedis, **environment: str) -> None:
        self.port = free_port()
        settings = {
            "ANCE_STORE": run.store.url,
            "ANCE_RUN": run.config.run,
            "ANCE_REDIS_URL": redis.url,
            "ANCE_CACHE_DIR": str(run.cache),
            "ANCE_METRICS_PORT": str(self.port),
            "ANCE_RUN_WAIT_SECONDS": "600",
            "ANCE_POLL_SECONDS": "0.2",  # there is no trainer to hear of a checkpoint from
        }
        command = [sys.executable, "-m", f"services.{service}"]
        self.process = subprocess.Popen(command, env={**os.environ, **settings, **environment}, stderr=subprocess.PIPE)

    def probe(self, path: str) -> int:
        """Status of a probe; 0 while nobody listens."""
        assert self.process.poll() is None, self.process.communicate()[1].decode()
        try:
            return get(self.port, path)[0]
        except URLError:
            return 0

    def terminate(self) -> int:
        """Exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def run(new_run: NewRun) -> ServiceRun:
    return new_run()


def create(run: ServiceRun) -> None:
    text = yaml.safe_dump(run.config.model_dump(mode="json"))
    run.store.write(run.layout.run_yaml, text.encode())


@pytest.fixture
def pod(api: KubernetesApi, tmp_path: Path) -> dict[str, str]:
    """Environment of a pod with every feature of Kubernetes on."""
    api.add_deployment(DEPLOYMENT, 0)
    return {
        **api.environment(tmp_path, pod="ance-indexer-0"),
        "ANCE_KUBERNETES": "true",
        "ANCE_LEASE_BACKEND": "kubernetes",
        "ANCE_SCALER_DEPLOYMENT": DEPLOYMENT,
        "ANCE_SCALER_PERIOD_SECONDS": "0.1",
    }


@pytest.mark.timeout(400)
def test_an_indexer_waits_for_its_run_leads_by_a_lease_scales_and_leaves_on_sigterm(
    run: ServiceRun, redis_server: LocalRedis, api: KubernetesApi, pod: dict[str, str]
) -> None:
    indexer = Process("indexer", run, redis_server, **pod)
    try:
        wait_until(lambda: indexer.probe("/startupz") == 200, START_SECONDS)
        assert (indexer.probe("/livez"), indexer.probe("/readyz")) == (200, 503), "waiting for the run is no failure"
        create(run)
        wait_until(lambda: indexer.probe("/readyz") == 200, START_SECONDS)
        wait_until(lambda: bool(api.objects.list("leases")), START_SECONDS)
        (lease,) = api.objects.list("leases")
        assert lease["spec"]["leaseTransitions"] == 1
        run.publish_checkpoint(20)  # a pass begins, which needs a pod
        wait_until(lambda: api.replicas(DEPLOYMENT) == 1, START_SECONDS)
        assert indexer.terminate() == 0
    finally:
        indexer.process.kill()
        indexer.process.wait()
    (lease,) = api.objects.list("leases")
    assert lease["spec"]["holderIdentity"] == ""

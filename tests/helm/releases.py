"""Releases of the chart on an API server in memory, made by real helms."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.helm.chart import CHART, CPU
from tests.kubernetes_api.kinds import KINDS, Object, Resource
from tests.kubernetes_api.server import KubernetesApi

RELEASE_SECRET = "helm.sh/release.v1"
"""Type of the Secrets in which helm keeps its releases."""


class HelmFailed(Exception):
    """helm refused or gave up; the message is helm's."""


@dataclass(frozen=True)
class Helm:
    """A binary, and the cluster it works on."""

    binary: Path
    api: KubernetesApi

    def install(self, release: str = "ance", values: Object | None = None) -> str:
        """Install the chart with the CPU overlay; returns what helm printed."""
        return self.run("install", release, str(CHART), "--values", str(CPU), values=values)

    def upgrade(self, release: str = "ance", values: Object | None = None) -> str:
        """Upgrade to other values; returns what helm printed."""
        return self.run("upgrade", release, str(CHART), "--values", str(CPU), values=values)

    def run(self, *arguments: str, values: Object | None = None) -> str:
        """What a command printed.

        Raises:
            HelmFailed: it did not succeed.
        """
        with tempfile.TemporaryDirectory() as home:
            environment = {"HOME": home, "KUBECONFIG": str(self.api.kubeconfig(Path(home))), "HELM_QPS": "1000"}
            command = [str(self.binary), *arguments, *(("--values", "-") if values is not None else ())]
            finished = subprocess.run(
                command, input=json.dumps(values), env=environment, capture_output=True, text=True, check=False
            )
        if finished.returncode:
            raise HelmFailed(finished.stderr)
        return finished.stdout


def objects(api: KubernetesApi) -> dict[tuple[str, str], Object]:
    """(kind, name) -> object, of everything but helm's own records and what the server adds."""
    found = {}
    for kind in KINDS:
        for item in api.objects.list(kind.plural):
            if item.get("type") != RELEASE_SECRET:
                found[item["kind"], item["metadata"]["name"]] = _as_applied(item)
    return found


def of_release(api: KubernetesApi, release: str) -> dict[tuple[str, str], Object]:
    """The same, of one release."""
    label = "app.kubernetes.io/instance"
    return {name: item for name, item in objects(api).items() if item["metadata"]["labels"][label] == release}


@contextmanager
def kubelet(api: KubernetesApi, phase: str) -> Iterator[None]:
    """Says of every pod that it has ended in this phase."""
    stopped = Event()

    def work() -> None:
        since = 0
        while not stopped.is_set():
            for change in api.objects.changes(since, 0.05):
                since = change.version
                if change.event == "ADDED" and change.resource.plural == "pods":
                    api.objects.set_status(change.resource, _ended(change.item, phase))

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _ended(pod: Object, phase: str) -> Object:
    code = 0 if phase == "Succeeded" else 1
    ended = {"terminated": {"exitCode": code}}
    name = pod["spec"]["containers"][0]["name"]
    container = {"name": name, "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": ended}
    return {"phase": phase, "containerStatuses": [container]}


def _as_applied(item: Object) -> Object:
    metadata: dict[str, Any] = {
        key: value
        for key, value in item["metadata"].items()
        if key not in ("uid", "resourceVersion", "creationTimestamp")
    }
    return item | {"metadata": metadata}


def deployment(name: str) -> Resource:
    """A Deployment's place on the server."""
    return Resource("apps/v1", "default", "deployments", name)

"""Objects of an API server run on its node. Each test is a node in a sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.kubernetes_api.kinds import KINDS, Object, Resource
from tests.kubernetes_api.routes import Call
from tests.pods.images import Images
from tests.pods.node import ApiNode
from tests.pods.sandbox import sandboxed
from tests.pods.test_cluster import job, python, web

ENFORCE = "pod-security.kubernetes.io/enforce"


class Client:
    """Somebody who uses the API server."""

    def __init__(self, node: ApiNode) -> None:
        self.node = node
        self.objects = node.api.objects

    async def create(self, item: Object, namespace: str = "") -> Object:
        (kind,) = (kind for kind in KINDS if kind.name == item["kind"])
        place = Resource(kind.api_version, namespace, kind.plural)
        return self.objects.create(place, item)

    async def namespace(self, name: str, standard: str) -> None:
        await self.create({"kind": "Namespace", "metadata": {"name": name, "labels": {ENFORCE: standard}}})
        await self.until(lambda: self.objects.list("serviceaccounts", name))

    def pods(self, namespace: str) -> list[Object]:
        return [pod for pod in self.objects.list("pods", namespace) if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, namespace: str) -> set[str]:
        return {
            pod["metadata"]["name"]
            for pod in self.pods(namespace)
            if {"type": "Ready", "status": "True"} in pod["status"].get("conditions", ())
        }

    def log(self, namespace: str, pod: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        answer = self.node.api.answer(Call("GET", path, {"tailLines": "1"}, "", "", b""))
        assert isinstance(answer, str)
        return answer

    async def until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.node.describe()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[Client]:
    async with ApiNode(folder, Images()) as node:
        running = asyncio.create_task(node.run())
        try:
            yield Client(node)
        finally:
            if not running.done():
                running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def safe(item: Object) -> Object:
    """The same workload with the profile that restricted namespaces want."""
    item["spec"]["template"]["spec"]["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    return item


@sandboxed
async def test_pods_of_workloads_have_objects_that_tell_how_they_are(tmp_path: Path) -> None:
    async with client(tmp_path / "node") as user:
        await user.namespace("space", "restricted")
        service, deployment = web(2)
        deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = 1
        for item in (service, safe(deployment), safe(job("once", python("print('a'); print('b')")))):
            await user.create(item, "space")
        once = Resource("batch/v1", "space", "jobs", "once")
        complete = {"type": "Complete", "status": "True"}
        await user.until(lambda: len(user.ready("space")) == 2)
        await user.until(lambda: complete in user.objects.get(once).get("status", {}).get("conditions", ()))
        (ended,) = (pod for pod in user.pods("space") if pod["status"]["phase"] == "Succeeded")
        assert user.log("space", ended["metadata"]["name"]) == "b\n"

        lost = min(user.ready("space"))
        user.objects.delete(Resource("v1", "space", "pods", lost), 0)
        await user.until(lambda: len(user.ready("space") - {lost}) == 2)
        user.objects.delete(once)
        user.objects.delete(Resource("apps/v1", "space", "deployments", "web"))
        await user.until(lambda: not user.objects.list("pods", "space"))

        user.objects.delete(Resource("v1", "", "namespaces", "space"))
        await user.until(lambda: not user.objects.all())


@sandboxed
async def test_a_volume_is_a_folder_of_the_node_which_only_privileged_pods_can_make(tmp_path: Path) -> None:
    def pod(name: str, container: Object, volume: Object) -> Object:
        mounted = container | {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        spec = {"restartPolicy": "Never", "containers": [mounted], "volumes": [{"name": "v", **volume}]}
        return {"kind": "Pod", "metadata": {"name": name}, "spec": spec}

    def phase(namespace: str, name: str) -> str:
        return str(user.objects.get(Resource("v1", namespace, "pods", name))["status"]["phase"])

    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "",
        "volumeName": "disk",
    }
    disk = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/data/made"},
        "storageClassName": "",
    }
    root = python("open('/root-is-writable', 'w'); import os; os.mkdir('/v/made'); print(os.getuid())")
    root["securityContext"] = {"runAsUser": 0}
    writer = python("open('/v/file', 'w').write('here')")
    writer["securityContext"] = writer["securityContext"] | {"seccompProfile": {"type": "RuntimeDefault"}}
    async with client(tmp_path / "node") as user:
        await user.namespace("high", "privileged")
        await user.namespace("low", "restricted")
        await user.create(pod("maker", root, {"hostPath": {"path": "/data", "type": "DirectoryOrCreate"}}), "high")
        await user.until(lambda: phase("high", "maker") == "Succeeded")
        assert user.log("high", "maker") == "0\n"
        await user.create({"kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": disk})
        await user.create({"kind": "PersistentVolumeClaim", "metadata": {"name": "claim"}, "spec": claim}, "low")
        await user.create(pod("writer", writer, {"persistentVolumeClaim": {"claimName": "claim"}}), "low")
        await user.until(lambda: phase("low", "writer") == "Succeeded")
    assert (tmp_path / "node" / "disk" / "data" / "made" / "file").read_text() == "here"

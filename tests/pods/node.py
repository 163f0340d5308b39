"""The one node of an API server: what kubectl and helm put there runs on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

from tests.kubernetes_api.control_plane import keep_house
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.namespaces import ENFORCE
from tests.kubernetes_api.server import KubernetesApi
from tests.pods.cluster import Cluster, Machine
from tests.pods.images import Images
from tests.pods.kubelet import Kubelet
from tests.pods.network import Network

TURN_SECONDS = 0.2


class ApiNode:
    """An API server and its node. Needs a sandbox: it makes networks and mounts.

    Args:
        folder: for volumes, logs and what pods need to run; one folder a namespace.
        images: what containers may run.
    """

    def __init__(self, folder: Path, images: Images) -> None:
        self.api = KubernetesApi(log=self._log)
        self._folder = folder
        self._images = images
        self._machine = Machine(Network(), folder / "disk")
        self._kubelets: dict[str, Kubelet] = {}
        self._version = -1
        self._found: dict[Resource, Object] = {}

    async def __aenter__(self) -> ApiNode:
        await self._machine.network.start()
        self.api.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.api.stop()
        await asyncio.gather(*(kubelet.cluster.stop() for kubelet in self._kubelets.values()))

    async def run(self) -> None:
        """Do what the API server says, turn after turn.

        Raises:
            ManifestError: something could not be run as its manifest says.
            Refusal: the API server does not let a pod of a workload in.
        """
        while True:
            self._look()
            await self._follow_namespaces()
            for kubelet in list(self._kubelets.values()):
                try:
                    await kubelet.turn(self._found)
                except Refusal as refusal:
                    if refusal.reason != "NotFound":  # a client was faster: the next turn sees what is left
                        raise
            await asyncio.sleep(TURN_SECONDS)

    def describe(self) -> str:
        """Pods, events and the end of each log, for a person to read."""
        return "\n".join(f"=== {name}\n{kubelet.cluster.describe()}" for name, kubelet in self._kubelets.items())

    def _look(self) -> None:
        """See all objects, once the controllers have nothing more to do."""
        objects = self.api.objects
        while self._version != (version := objects.version):
            self._version, self._found = version, dict(objects.all())
            keep_house(objects, list(self._found.items()))

    async def _follow_namespaces(self) -> None:
        there = {place.name: item for place, item in self._found.items() if place.plural == "namespaces"}
        for name, item in there.items():
            if name not in self._kubelets:
                self._kubelets[name] = self._begin(name, item)
        for name in self._kubelets.keys() - there.keys():
            await self._kubelets.pop(name).cluster.stop()

    def _begin(self, name: str, namespace: Object) -> Kubelet:
        restricted = (namespace["metadata"].get("labels") or {}).get(ENFORCE) == "restricted"
        folder = self._folder / name
        cluster = Cluster(folder, self._images, name, self._machine, "restricted" if restricted else "privileged")
        cluster.start()
        return Kubelet(self.api.objects, name, cluster, folder)

    def _log(self, pod: Resource, container: str) -> str:
        if pod.namespace not in self._kubelets:
            raise Refusal(400, "BadRequest", f"nothing runs in namespace {pod.namespace}")
        return self._kubelets[pod.namespace].log(pod.name, container)

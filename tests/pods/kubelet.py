"""The pods of one namespace of an API server: run as its objects say, and told of as they run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes_api.kinds import Refusal, Resource
from tests.kubernetes_api.objects import Objects as ApiObjects
from tests.pods import statuses
from tests.pods.cluster import Cluster
from tests.pods.manifests import RUNNABLE, Object
from tests.pods.pod import Pod

NODE = "node"
RUN = RUNNABLE | {"ConfigMap", "PersistentVolume", "PersistentVolumeClaim", "Secret", "Service"}
"""Kinds that a namespace's pods depend on."""
COUNTED = "batch.kubernetes.io/job-tracking"
"""Finalizer of the pods of Jobs: they stay until their end has been counted."""

Found = Mapping[Resource, Object]


class Kubelet:
    """Runs what the API server has in one namespace.

    Args:
        api: objects of the API server.
        namespace: its name.
        cluster: runs the pods.
        folder: of the cluster.
    """

    def __init__(self, api: ApiObjects, namespace: str, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self._api = api
        self._namespace = namespace
        self._logs = folder / "logs"
        self._taken: dict[Resource, Object] = {}
        self._uids: dict[Pod, str] = {}
        """Of the objects of pods that run here."""
        self._lost: set[Pod] = set()

    async def turn(self, found: Found) -> None:
        """Take what has changed on the API server, then tell it what has changed here.

        Args:
            found: all objects of the API server.

        Raises:
            ManifestError: something could not be run as its manifest says.
            Refusal: the API server does not let a pod in.
        """
        self.cluster.check()
        inside = {place: item for place, item in found.items() if place.namespace == self._namespace}
        await self._take({place: item for place, item in found.items() if place in inside or _is_volume(item)})
        self._take_pods({place: item for place, item in inside.items() if place.plural == "pods"})
        for pod in self._uids.keys() - set(self.cluster.pods):
            self._forget(pod)
        for pod in self.cluster.pods:
            self._show(pod, inside)
        self._show_workloads(inside)

    def log(self, pod: str, container: str) -> str:
        """What a container has written.

        Raises:
            Refusal: nothing, as it has not begun.
        """
        file = self._logs / f"{pod}.{container}.log"
        if not file.exists():
            raise Refusal(400, "BadRequest", f"container {container} in pod {pod} is waiting to start")
        return file.read_text(errors="replace")

    async def _take(self, found: Found) -> None:
        wanted = {place: item for place, item in found.items() if item["kind"] in RUN and not _is_unbound(item)}
        for place in self._taken.keys() - wanted.keys():
            self.cluster.remove(self._taken.pop(place))
        for place, item in sorted(wanted.items(), key=lambda entry: entry[1]["kind"] in RUNNABLE):
            if self._taken.get(place) != item:
                await self.cluster.put(item)
                self._taken[place] = item

    def _take_pods(self, wanted: Found) -> None:
        """Start pods that no workload has made, and end those that are deleted."""
        running = {uid: pod for pod, uid in self._uids.items()}
        for place, item in wanted.items():
            metadata = item["metadata"]
            if "nodeName" not in item["spec"]:
                self._api.patch(place, {"spec": {"nodeName": NODE}})
                self._uids[self.cluster.add(item)] = metadata["uid"]
            elif "deletionTimestamp" in metadata and metadata["uid"] in running:
                # Without grace is at once, where a real kubelet gives a second; with grace it is the pod's own.
                if metadata["deletionGracePeriodSeconds"]:
                    self.cluster.delete(running[metadata["uid"]])
                else:
                    self._lose(running[metadata["uid"]])
        for uid in running.keys() - {item["metadata"]["uid"] for item in wanted.values()}:
            self._lose(running[uid])

    def _lose(self, pod: Pod) -> None:
        if pod not in self._lost:
            self._lost.add(pod)
            self.cluster.destroy(pod)

    def _show(self, pod: Pod, inside: Found) -> None:
        place = self._place(pod)
        if pod not in self._uids:
            owners = [item for item in inside.values() if (item["kind"], item["metadata"]["name"]) == pod.owner]
            if owners:  # else the workload has gone, and the pod will
                self._uids[pod] = self._api.create(place, _object_of(pod, owners[0]))["metadata"]["uid"]
        elif place in inside and inside[place]["metadata"]["uid"] == self._uids[pod]:
            item = inside[place]
            if pod.terminating and not pod.finished and "deletionTimestamp" not in item["metadata"]:
                self._api.delete(place)
            if (status := statuses.of_pod(pod)) != item.get("status"):
                self._api.set_status(place, status)

    def _forget(self, pod: Pod) -> None:
        """A pod is no longer here. The object of a Job's pod that has ended by itself stays for as long as the Job."""
        place, uid = self._place(pod), self._uids.pop(pod)
        self._lost.discard(pod)
        item = next((item for item in self._api.list("pods", self._namespace) if item["metadata"]["uid"] == uid), None)
        if item is None:
            return
        self._api.set_status(place, statuses.of_pod(pod))
        if pod.owner[0] != "Job" or "deletionTimestamp" in item["metadata"]:
            self._api.delete(place, 0)
        if pod.owner[0] == "Job":
            self._api.patch(place, {"metadata": {"finalizers": []}})

    def _show_workloads(self, inside: Found) -> None:
        for place, item in inside.items():
            if item["kind"] in RUNNABLE:
                pods = [pod for pod in self.cluster.pods if pod.owner == (item["kind"], place.name)]
                status = statuses.of_workload(item, pods, self.cluster.job(place.name))
                if status != item.get("status"):
                    self._api.set_status(place, status)

    def _place(self, pod: Pod) -> Resource:
        return Resource("v1", self._namespace, "pods", pod.name)


def _object_of(pod: Pod, owner: Object) -> Object:
    """A pod that a workload has made; a Deployment has no ReplicaSets here."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    metadata = {"name": pod.name, "labels": dict(pod.labels), "ownerReferences": [reference]}
    if owner["kind"] == "Job":
        metadata["finalizers"] = [COUNTED]
    return {"metadata": metadata, "spec": {**pod.spec, "nodeName": NODE}}


def _is_volume(item: Object) -> bool:
    return bool(item["kind"] == "PersistentVolume")


def _is_unbound(item: Object) -> bool:
    return item["kind"] == "PersistentVolumeClaim" and item.get("status", {}).get("phase") != "Bound"

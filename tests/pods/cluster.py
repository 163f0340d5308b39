"""A cluster of one node and one namespace that runs rendered manifests as local processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.pods.controllers import reconcile_deployment, reconcile_job, reconcile_stateful_set
from tests.pods.images import Images
from tests.pods.job import JobStatus
from tests.pods.manifests import RUNNABLE, ManifestError, Object, Objects, hooks, parse, template_hash
from tests.pods.network import Network
from tests.pods.pod import Node, Pod
from tests.pods.security import Standard
from tests.pods.service import Service

DOMAIN = "svc.cluster.local"
TURN_SECONDS = 0.1
IMMUTABLE = {"Job": ("template", "selector"), "Deployment": ("selector",), "StatefulSet": ("selector", "serviceName")}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the namespaces of a node share."""

    network: Network
    disk: Path
    """Stands for the root of its file system."""


class Cluster:
    """Runs what is applied to it. Needs a sandbox: it makes networks and mounts.

    Args:
        folder: for volumes, logs and what pods need to run.
        images: what containers may run.
        namespace: of all objects.
        machine: that it shares with other namespaces; without one it has its own.
        standard: that pods are held to.
    """

    def __init__(
        self,
        folder: Path,
        images: Images,
        namespace: str = "default",
        machine: Machine | None = None,
        standard: Standard = "release",
    ) -> None:
        self._folder = folder
        self._own_machine = machine is None
        machine = machine or Machine(Network(), folder / "disk")
        self._network = machine.network
        self._objects = Objects()
        self._services: dict[str, Service] = {}
        self._jobs: dict[str, JobStatus] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._domain = f"{namespace}.{DOMAIN}"
        self._began = time.monotonic()
        self._hooks: list[Object] = []
        self.pods: list[Pod] = []
        self.events: list[str] = []
        for name in ("pods", "logs", "claims"):
            (folder / name).mkdir(parents=True)
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n")
        self._node = Node(
            folder=folder,
            disk=machine.disk,
            images=images,
            network=machine.network,
            objects=self._objects,
            namespace=namespace,
            hosts=self._hosts,
            service_links=self._service_links,
            report=self.report,
            standard=standard,
        )

    async def __aenter__(self) -> Cluster:
        if self._own_machine:
            await self._network.start()
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin to control."""
        self._controlling = asyncio.create_task(self._control())

    async def stop(self) -> None:
        """End every pod at once, and control no more."""
        self._controlling.cancel()
        await asyncio.gather(*(service.cut() for service in self._services.values()))
        await asyncio.gather(*(pod.destroy() for pod in self.pods))
        await asyncio.gather(*self._ending)

    async def apply(self, rendered: str) -> None:
        """Make what `helm template` printed the whole content of the namespace, as install and upgrade do.

        Raises:
            ManifestError: a field that no API server lets change has changed, or a hook failed.
        """
        objects = parse(rendered)
        upgrade = bool(self._objects.all())
        self._hooks = [item for item in objects if hooks(item)]
        await self._run_hooks("pre-upgrade" if upgrade else "pre-install")
        wanted = Objects(item for item in objects if not hooks(item))
        for item in self._objects.all():
            if wanted.find(item["kind"], item["metadata"]["name"]) is None:
                self.remove(item)
        for item in sorted(wanted.all(), key=lambda item: item["kind"] in RUNNABLE):
            await self.put(item)
        await self._run_hooks("post-upgrade" if upgrade else "post-install")

    async def test(self) -> None:
        """Run the pods that `helm test` would.

        Raises:
            ManifestError: one failed.
        """
        await self._run_hooks("test")

    async def uninstall(self) -> None:
        """Remove every object and wait until the last pod has gone."""
        await self.apply("")
        await self.until(lambda: not self.pods, 120, "all pods to end")

    def address(self, service: str, port: int) -> str:
        """host:port at which the node reaches a Service."""
        return f"{self._services[service].address}:{port}"

    def endpoints(self, service: str) -> Sequence[Pod]:
        """Pods to which a Service leads: those that are ready, a moment later."""
        return tuple(self._services[service].endpoints)

    def of(self, workload: str) -> list[Pod]:
        """Pods of a workload that are not about to go."""
        return [pod for pod in self.pods if pod.owner[1] == workload and not pod.terminating]

    def objects(self, *kinds: str) -> list[Object]:
        """Objects of some kinds."""
        return self._objects.of(*kinds)

    def job(self, name: str) -> JobStatus:
        """How far a Job has come."""
        return self._jobs.setdefault(name, JobStatus())

    def delete(self, pod: Pod, *, evicted: bool = False) -> None:
        """Begin to end a pod, as `kubectl delete pod` or a drain does."""
        if not pod.terminating:
            self.report(f"{pod.name}: {'evicted' if evicted else 'deleted'}")
            pod.terminating = True
            self._end(pod.delete(evicted=evicted))

    def destroy(self, pod: Pod) -> None:
        """End a pod at once, as `kubectl delete pod --force --grace-period 0` does."""
        self.report(f"{pod.name}: lost")
        pod.terminating = True
        self._end(pod.destroy())

    def add(self, pod: Object) -> Pod:
        """Run a pod that no workload has made."""
        self._objects.put(pod)
        self.create(pod, pod["metadata"]["name"])
        return self.pods[-1]

    def create(self, workload: Object, name: str) -> None:
        """Make a pod of a workload."""
        template = workload["spec"].get("template", workload)
        for claim in workload["spec"].get("volumeClaimTemplates") or ():
            template = _with_claim(template, claim, name, self._objects)
        owner = (workload["kind"], workload["metadata"]["name"])
        revision = template_hash(workload["spec"].get("template", workload))
        self.pods.append(Pod(name, owner, template, revision, self._node))
        self.report(f"{name}: created")

    def report(self, event: str) -> None:
        """Note an event, here and in a file that stays."""
        self.events.append(f"{time.monotonic() - self._began:7.2f} {event}")
        with (self._folder / "events").open("a") as file:
            file.write(f"{self.events[-1]}\n")

    async def until(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            AssertionError: it did not come true in time.
            ManifestError: meanwhile something could not be run as its manifest says.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            await asyncio.sleep(0.05)

    def check(self) -> None:
        """Look whether all goes well.

        Raises:
            ManifestError: something could not be run as its manifest says.
        """
        if self._controlling.done():
            self._controlling.result()

    def describe(self) -> str:
        """Pods, events and the end of each log, for a person to read."""
        pods = [f"{pod.name}: {pod.phase}, ready {pod.ready}, restarts {pod.restarts}" for pod in self.pods]
        logs = [
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            for log in sorted((self._folder / "logs").iterdir())
        ]
        return "\n".join([*pods, "--- events", *self.events, *logs])

    async def put(self, item: Object) -> None:
        """Add or change an object.

        Raises:
            ManifestError: a field that no API server lets change has changed.
        """
        kind, name = item["kind"], item["metadata"]["name"]
        before = self._objects.find(kind, name)
        for key in IMMUTABLE.get(kind, ()):
            if before is not None and before["spec"].get(key) != item["spec"].get(key):
                raise ManifestError(f"{kind} {name}: spec.{key} is immutable, and the upgrade changes it")
        if before == item:
            return
        self._objects.put(item)
        if kind == "Service" and name not in self._services:
            headless = item["spec"].get("clusterIP") == "None"
            service = Service(item, None if headless else await self._network.service_address())
            await service.start()
            self._services[name] = service

    def remove(self, item: Object) -> None:
        """Take an object away; the pods of a workload end."""
        self._objects.remove(item)
        name = item["metadata"]["name"]
        if item["kind"] == "Service":
            self._services.pop(name).stop()
        elif item["kind"] == "Job":
            self._jobs.pop(name, None)

    async def _control(self) -> None:
        """Turn after turn: pods follow workloads, Services follow pods."""
        while True:
            for pod in [pod for pod in self.pods if pod.finished]:
                if error := pod.error():
                    raise error
                if pod.terminating:
                    self.pods.remove(pod)
            for workload in self._objects.of(*RUNNABLE):
                self._reconcile(workload)
            known = {(item["kind"], item["metadata"]["name"]) for item in (*self._objects.all(), *self._hooks)}
            for pod in self.pods:
                if pod.owner not in known:
                    self.delete(pod)
            for service in self._services.values():
                service.update(self.pods, time.monotonic())
            self._write_hosts()
            await asyncio.sleep(TURN_SECONDS)

    def _reconcile(self, workload: Object) -> None:
        pods = [pod for pod in self.pods if pod.owner == (workload["kind"], workload["metadata"]["name"])]
        if workload["kind"] == "Deployment":
            reconcile_deployment(workload, pods, self)
        elif workload["kind"] == "StatefulSet":
            reconcile_stateful_set(workload, pods, self)
        else:
            reconcile_job(workload, pods, self.job(workload["metadata"]["name"]), self)

    async def _run_hooks(self, name: str) -> None:
        chosen = [item for item in self._hooks if name in hooks(item)]
        for item in sorted(chosen, key=_weight):
            if item["kind"] not in ("Pod", "Job"):
                await self.put(item)
                continue
            hook_name = item["metadata"]["name"]
            self.create(item, hook_name)
            pod = self.pods[-1]
            await self.until(lambda pod=pod: pod.finished, 300, f"the hook {hook_name}")  # type: ignore[misc]
            if pod.phase != "Succeeded":
                raise ManifestError(f"the {name} hook {hook_name} failed")
            self.delete(pod)

    def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _service_links(self) -> dict[str, str]:
        return {name: value for service in self._services.values() for name, value in service.links().items()}

    def _write_hosts(self) -> None:
        lines = ["127.0.0.1 localhost"]
        for service in self._services.values():
            lines += service.host_lines(self._domain)
        text = "".join(f"{line}\n" for line in lines)
        if text != self._hosts.read_text():
            self._hosts.write_text(text)  # in place: containers have this very file mounted


def _weight(item: Object) -> int:
    return int((item["metadata"].get("annotations") or {}).get("helm.sh/hook-weight", 0))


def _with_claim(template: Object, claim: Object, pod: str, objects: Objects) -> Object:
    """A template whose pod has a volume of its own from a volumeClaimTemplate, kept over restarts of that pod."""
    name = f"{claim['metadata']['name']}-{pod}"
    objects.put({"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim["spec"]})
    volumes: Sequence[Any] = template["spec"].get("volumes") or ()
    volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}}
    return {**template, "spec": {**template["spec"], "volumes": [*volumes, volume]}}

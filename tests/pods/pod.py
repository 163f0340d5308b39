"""A pod: network, volumes, init containers, containers, and one end for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pods.container import ContainerSpec
from tests.pods.environment import PodFields, command_line, resolve
from tests.pods.images import Images
from tests.pods.manifests import ManifestError, Object, Objects
from tests.pods.network import Network
from tests.pods.security import Rights, Standard
from tests.pods.supervisor import ContainerSupervisor, Orders
from tests.pods.volumes import Disk, Volume, materialise, mounts_of


@dataclass(frozen=True, slots=True)
class Node:
    """What pods find on the machine they run on."""

    folder: Path
    disk: Path
    """What hostPath volumes are of."""
    images: Images
    network: Network
    objects: Objects
    namespace: str
    hosts: Path
    """Names of Services; every container has it as /etc/hosts."""
    service_links: Callable[[], Mapping[str, str]]
    report: Callable[[str], None]
    standard: Standard = "release"


class Pod:
    """A pod of a workload.

    Args:
        name: of the pod.
        owner: kind and name of the workload that made it.
        template: metadata and spec.
        revision: hash of the template.
        node: where it runs.
    """

    def __init__(self, name: str, owner: tuple[str, str], template: Object, revision: str, node: Node) -> None:
        self.name = name
        self.owner = owner
        self.revision = revision
        self.spec: Mapping[str, Any] = template["spec"]
        self.labels: Mapping[str, str] = template["metadata"].get("labels") or {}
        self.phase = "Pending"
        self.terminating = False
        self.disrupted = False
        self.address = ""
        self.exit_codes: dict[str, int] = {}
        self.containers: dict[str, ContainerSupervisor] = {}
        self._annotations: Mapping[str, str] = template["metadata"].get("annotations") or {}
        self._node = node
        self._folder = node.folder / "pods" / name
        self._task = asyncio.create_task(self._run(), name=name)

    @property
    def ready(self) -> bool:
        """Every container is ready."""
        names = [container["name"] for container in self.spec["containers"]]
        return self.phase == "Running" and all(
            name in self.containers and self.containers[name].ready for name in names
        )

    @property
    def finished(self) -> bool:
        """No container runs, and none will."""
        return self._task.done()

    @property
    def restarts(self) -> int:
        """Restarts of its containers."""
        return sum(container.restarts for container in self.containers.values())

    def error(self) -> BaseException | None:
        """Why the pod could not be run as its manifest says."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    def port(self, port: int | str) -> int:
        """Number of a port given by number or name.

        Raises:
            ManifestError: no container has a port of that name.
        """
        if isinstance(port, int):
            return port
        for container in self.spec["containers"]:
            for declared in container.get("ports") or ():
                if declared.get("name") == port:
                    return int(declared["containerPort"])
        raise ManifestError(f"pod {self.name} has no port named {port}")

    async def delete(self, *, evicted: bool = False) -> None:
        """End all containers as their grace period allows, then let go of the network."""
        self.terminating, self.disrupted = True, evicted
        while not self.finished:  # a container that starts only now is stopped with the next turn
            await asyncio.gather(*(container.stop() for container in self.containers.values()))
            await asyncio.wait([self._task], timeout=0.05)

    async def destroy(self) -> None:
        """End all containers at once, as `kubectl delete --force --grace-period 0` does."""
        self.terminating = True
        while not self.finished:
            for container in self.containers.values():
                container.abandon()
            await asyncio.wait([self._task], timeout=0.05)

    def crash(self, container: str | None = None) -> None:
        """SIGKILL to a container, the first by default."""
        self.containers[container or self.spec["containers"][0]["name"]].kill()

    async def _run(self) -> None:
        node = self._node
        name = f"{node.namespace}.{self.name}"
        self.address, network = await node.network.attach(name)
        try:
            fields = PodFields(
                name=self.name,
                namespace=node.namespace,
                uid=f"{abs(hash(self.name)):032x}",
                ip=self.address,
                node="node",
                labels=self.labels,
                annotations=self._annotations,
                service_account=self.spec.get("serviceAccountName", "default"),
            )
            disk = Disk(node.folder / "claims", node.disk, host_paths=node.standard == "privileged")
            volumes = materialise(self.spec, fields, node.objects, self._folder / "volumes", disk)
            links = dict(node.service_links()) if self.spec.get("enableServiceLinks", True) else {}
            supervise = _Supervision(self, node, fields, volumes, links, network, self._folder)
            await self._run_containers(supervise)
        finally:
            await node.network.detach(name)

    async def _run_containers(self, supervise: _Supervision) -> None:
        policy = self.spec.get("restartPolicy", "Always")
        sidecars: list[asyncio.Task[int]] = []
        for container in self.spec.get("initContainers") or ():
            supervisor = supervise(container, container.get("restartPolicy") or _policy_of_init(policy))
            if container.get("restartPolicy") == "Always":
                sidecars.append(asyncio.create_task(supervisor.run()))
                await supervisor.started.wait()
            else:
                self.exit_codes[container["name"]] = await supervisor.run()
                if self.exit_codes[container["name"]] != 0 or self.terminating:
                    self.phase = "Failed"
                    return
        self.phase = "Running"
        names = [container["name"] for container in self.spec["containers"]]
        running = [supervise(container, policy).run() for container in self.spec["containers"]]
        self.exit_codes |= dict(zip(names, await asyncio.gather(*running), strict=True))
        for container in self.spec.get("initContainers") or ():
            await self.containers[container["name"]].stop()
        await asyncio.gather(*sidecars)
        self.phase = "Failed" if any(self.exit_codes[name] for name in names) else "Succeeded"


@dataclass(frozen=True, slots=True)
class _Supervision:
    """Makes the supervisors of a pod's containers."""

    pod: Pod
    node: Node
    fields: PodFields
    volumes: Mapping[str, Volume]
    links: Mapping[str, str]
    network: Path
    folder: Path

    def __call__(self, container: Mapping[str, Any], policy: str) -> ContainerSupervisor:
        name = container["name"]
        orders = Orders(
            manifest=container,
            restart_policy=policy,
            address=self.pod.address,
            grace_seconds=float(self.pod.spec.get("terminationGracePeriodSeconds", 30)),
            spec=lambda: self._spec(container),
        )
        log = self.node.folder / "logs" / f"{self.pod.name}.{name}.log"
        supervisor = ContainerSupervisor(
            orders, self.folder / name, log, lambda event: self.node.report(f"{self.pod.name}: {event}")
        )
        self.pod.containers[name] = supervisor
        return supervisor

    def _spec(self, container: Mapping[str, Any]) -> ContainerSpec:
        image = self.node.images.pull(container["image"])
        security = {**(self.pod.spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        security.setdefault("runAsUser", image.user)
        rights = Rights.of(container["name"], security, self.node.standard)
        environment = resolve(container, self.fields, self.node.objects, {**image.environment, **self.links})
        mounts = mounts_of(container, self.volumes, environment)
        return ContainerSpec(
            hostname=self.pod.name,
            network=self.network,
            image=image,
            command=command_line(container, environment, image.entrypoint, image.arguments),
            environment=environment | {"HOSTNAME": self.pod.name},
            working_dir=container.get("workingDir", image.working_dir),
            mounts=mounts,
            hosts=self.node.hosts,
            uid=rights.uid,
            gid=rights.gid,
            read_only=rights.read_only,
        )


def _policy_of_init(policy: str) -> str:
    return "Never" if policy == "Never" else "OnFailure"

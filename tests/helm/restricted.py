"""The restricted Pod Security Standard, written out as in the documentation of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.helm.chart import Object, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = ("RuntimeDefault", "Localhost")


def violations(pod: Object) -> list[str]:
    """What the admission of a namespace with `pod-security.kubernetes.io/enforce: restricted` would refuse."""
    return [*_of_pod(pod["spec"]), *(found for one in containers(pod) for found in _of_container(one, pod["spec"]))]


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(namespace):
            yield f"{namespace} is true"
    for volume in spec.get("volumes", ()):
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is of the kind {kind}"
    context = spec.get("securityContext", {})
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("sysctls"):
        yield "sysctls are set"


def _of_container(container: Object, spec: dict[str, Any]) -> Iterator[str]:
    name, context, pod = container["name"], container.get("securityContext", {}), spec.get("securityContext", {})
    if context.get("privileged"):
        yield f"{name}: privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if not context.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield f"{name}: runAsNonRoot is not true"
    if context.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{name}: capabilities.drop lacks ALL"
    if set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities.add"
    if context.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield f"{name}: seccompProfile is not RuntimeDefault or Localhost"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield f"{name}: hostPort"

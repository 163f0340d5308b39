"""What is said of pods and workloads, as `status` of their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.pods.job import JobStatus
from tests.pods.manifests import Object, template_hash
from tests.pods.pod import Pod
from tests.pods.supervisor import ContainerSupervisor


def of_pod(pod: Pod) -> Object:
    """Phase, conditions and containers of a pod."""
    status: Object = {"phase": pod.phase, "conditions": _conditions(Ready=pod.ready, ContainersReady=pod.ready)}
    if pod.address:
        status["podIP"] = pod.address
    for key, containers in (("initContainerStatuses", "initContainers"), ("containerStatuses", "containers")):
        if pod.spec.get(containers):
            status[key] = [_of_container(pod, container) for container in pod.spec[containers]]
    return status


def of_workload(workload: Object, pods: Sequence[Pod], job: JobStatus) -> Object:
    """Counts and conditions of a Deployment, StatefulSet or Job.

    Args:
        workload: the object.
        pods: its own, those about to go included.
        job: how far it has come, if it is one.
    """
    active = [pod for pod in pods if not pod.terminating]
    if workload["kind"] == "Job":
        counts = {"active": sum(not pod.finished for pod in pods), "succeeded": int(job.succeeded)}
        ended = {"Complete": job.succeeded, "Failed": job.failed}
        conditions = _conditions(**{name: True for name, value in ended.items() if value})
        return counts | {"failed": job.failures, "conditions": conditions}
    ready = sum(pod.ready for pod in active)
    revision = template_hash(workload["spec"]["template"])
    updated = sum(pod.revision == revision for pod in active)
    status = {"replicas": len(active), "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated}
    if workload["kind"] == "Deployment":
        status["conditions"] = _conditions(Available=ready >= workload["spec"]["replicas"])
    return status


def _conditions(**values: bool) -> list[Object]:
    return [{"type": name, "status": str(value)} for name, value in values.items()]


def _of_container(pod: Pod, container: Mapping[str, Any]) -> Object:
    name = container["name"]
    supervisor = pod.containers.get(name)
    return {
        "name": name,
        "image": container["image"],
        "imageID": container["image"],
        "ready": supervisor is not None and supervisor.ready,
        "restartCount": supervisor.restarts if supervisor else 0,
        "state": _state(supervisor, pod.exit_codes.get(name)),
    }


def _state(supervisor: ContainerSupervisor | None, exit_code: int | None) -> Object:
    if exit_code is not None:
        return {"terminated": {"exitCode": exit_code}}
    if supervisor is None or supervisor.container is None:
        return {"waiting": {"reason": "PodInitializing"}}
    if supervisor.container.exit_code is None:
        return {"running": {}}
    return {"waiting": {"reason": "CrashLoopBackOff"}}

"""Controllers: pods follow their Deployments, StatefulSets and Jobs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

from tests.pods.deployment import bounds, plan
from tests.pods.job import JobStatus, judge
from tests.pods.manifests import ManifestError, Object, template_hash
from tests.pods.pod import Pod


class Scheduler(Protocol):
    """Makes and ends pods."""

    def create(self, workload: Object, name: str) -> None:
        """Make a pod of a workload."""

    def delete(self, pod: Pod) -> None:
        """Begin to end a pod."""


def reconcile_deployment(workload: Object, pods: Sequence[Pod], scheduler: Scheduler) -> None:
    """Make the next move of a Deployment."""
    spec, name = workload["spec"], workload["metadata"]["name"]
    replicas, revision = spec.get("replicas", 1), template_hash(spec["template"])
    create, delete = plan(replicas, revision, bounds(spec.get("strategy") or {}, replicas), pods)
    for _ in range(create):
        scheduler.create(workload, f"{name}-{revision[:6]}-{secrets.token_hex(2)}")
    for pod in delete:
        scheduler.delete(pod)


def reconcile_stateful_set(workload: Object, pods: Sequence[Pod], scheduler: Scheduler) -> None:
    """Make the next move of a StatefulSet: pods start in order and are replaced one at a time, the last first."""
    spec, name = workload["spec"], workload["metadata"]["name"]
    revision, by_name = template_hash(spec["template"]), {pod.name: pod for pod in pods}
    wanted = [f"{name}-{ordinal}" for ordinal in range(spec.get("replicas", 1))]
    for pod in pods:
        if pod.name not in wanted and not pod.terminating:
            scheduler.delete(pod)
    for pod_name in wanted:
        if pod_name not in by_name:
            scheduler.create(workload, pod_name)
            return
        if not by_name[pod_name].ready and spec.get("podManagementPolicy") != "Parallel":
            break
    outdated = [by_name[pod_name] for pod_name in reversed(wanted) if by_name.get(pod_name)]
    for pod in outdated:
        if pod.terminating:
            return
        if pod.revision != revision:
            scheduler.delete(pod)
            return


def reconcile_job(workload: Object, pods: Sequence[Pod], status: JobStatus, scheduler: Scheduler) -> None:
    """Make the next move of a Job of one pod.

    Raises:
        ManifestError: the Job wants more than one pod.
    """
    spec, name = workload["spec"], workload["metadata"]["name"]
    if (spec.get("completions") or 1, spec.get("parallelism", 1)) != (1, 1):
        raise ManifestError(f"Job {name}: the pod runner has Jobs of one pod only")
    if any(not pod.finished for pod in pods) or status.succeeded or status.failed or spec.get("suspend"):
        return
    for pod in pods:
        status.succeeded |= pod.phase == "Succeeded"
        if pod.phase == "Failed":
            verdict = judge(spec, pod.exit_codes, pod.disrupted)
            status.failures += verdict == "retry"
            status.failed |= verdict == "fail" or status.failures > spec.get("backoffLimit", 6)
        scheduler.delete(pod)
    if not pods:
        scheduler.create(workload, f"{name}-{secrets.token_hex(2)}")

"""Which inferencer a scale-down should remove: one that has nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ance.runtime.kubernetes.client import REQUEST_SECONDS, Cluster, asking
from ance.runtime.kubernetes.messenger import Messenger

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
IDLE, BUSY = "0", "100"

TellBusy = Callable[[bool], None]
"""Tells whether the process has work; returns at once and never raises."""


def untold(busy: bool) -> None:
    """Tell nobody: outside of Kubernetes no one asks."""


@contextmanager
def open_deletion_cost(cluster: Cluster | None) -> Iterator[TellBusy]:
    """Keep this pod's deletion cost true for the length of the block; do nothing without a cluster."""
    if cluster is None:
        yield untold
        return
    with Messenger("the deletion cost") as messenger:
        cost = DeletionCost(cluster, messenger)
        yield cost.tell
        cost.tell(False)


class DeletionCost:
    """Patches the annotation of this pod where work begins and where it ends, not for every task."""

    def __init__(self, cluster: Cluster, messenger: Messenger) -> None:
        self._cluster = cluster
        self._messenger = messenger
        self._busy = False  # a pod without the annotation costs nothing

    def tell(self, busy: bool) -> None:
        """Queue a patch if this is news."""
        if busy != self._busy:
            self._busy = busy
            self._messenger.send(ANNOTATION, lambda: self._patch(BUSY if busy else IDLE))

    def _patch(self, cost: str) -> None:
        from kubernetes.client import CoreV1Api

        pod = self._cluster.pod
        with asking(f"patch pods/{pod.name}"):
            CoreV1Api(self._cluster.api).patch_namespaced_pod(
                pod.name,
                pod.namespace,
                {"metadata": {"annotations": {ANNOTATION: cost}}},
                _request_timeout=REQUEST_SECONDS,
            )

"""What a run has reached, where operators look first: Events on the object that owns the process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ance.errors import AnceError
from ance.runtime.kubernetes.client import REQUEST_SECONDS, Cluster, Refused, asking, now
from ance.runtime.kubernetes.messenger import Messenger

if TYPE_CHECKING:
    from kubernetes.client import V1ObjectReference

logger = logging.getLogger(__name__)

Reason = Literal[
    "CheckpointPublished", "RefreshStarted", "RefreshAborted", "IndexPublished", "IndexSwapped", "SwapRefused"
]
Announce = Callable[[Reason, str], None]
"""Tells operators a reason and a note; returns at once and never raises."""

WARNINGS: frozenset[Reason] = frozenset({"RefreshAborted", "SwapRefused"})
API_VERSIONS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1", "Pod": "v1"}
BURST = 10
REFILL_SECONDS = 30.0
"""After a burst, one event every so many seconds: events live in etcd."""
NOTE_BYTES = 1024
"""Longest note that the API server takes."""


def unheard(reason: Reason, note: str) -> None:
    """Announce to nobody: outside of Kubernetes the log is all there is."""


@contextmanager
def open_events(cluster: Cluster | None, component: str, regarding: str = "") -> Iterator[Announce]:
    """Announce by Events for the length of the block; to nobody without a cluster.

    Args:
        component: who reports, e.g. `indexer`.
        regarding: `Kind/name` of the object that the events are on; empty: this pod.

    Raises:
        AnceError: `regarding` names no kind that we know.
    """
    if cluster is None:
        yield unheard
        return
    with Messenger("events") as messenger:
        yield Events(cluster, messenger, component, regarding).publish


class Events:
    """Makes Events of `events.k8s.io/v1`, at most `BURST` at once and then one every `REFILL_SECONDS`."""

    def __init__(
        self,
        cluster: Cluster,
        messenger: Messenger,
        component: str,
        regarding: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._messenger = messenger
        self._component = component
        self._kind, self._name = _parse(regarding or f"Pod/{cluster.pod.name}")
        self._clock = clock
        self._tokens = float(BURST)
        self._refilled = clock()
        self._left_out = 0
        self._regarding: V1ObjectReference | None = None

    def publish(self, reason: Reason, note: str) -> None:
        """Queue an event. One that comes too soon is left out, and the next one counts it."""
        if not self._take_token():
            self._left_out += 1
            return
        if self._left_out:
            note = f"{note} ({self._left_out} earlier events were left out)"
            self._left_out = 0
        happened = now()
        name = f"{self._name}.{int(happened.timestamp() * 1e6):x}"
        self._messenger.send(name, lambda: self._create(name, reason, note, happened))

    def _take_token(self) -> bool:
        time = self._clock()
        self._tokens = min(BURST, self._tokens + (time - self._refilled) / REFILL_SECONDS)
        self._refilled = time
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _create(self, name: str, reason: Reason, note: str, happened: datetime) -> None:
        from kubernetes.client import EventsV1Api, EventsV1Event, V1ObjectMeta

        pod = self._cluster.pod
        event = EventsV1Event(
            metadata=V1ObjectMeta(name=name, namespace=pod.namespace),
            event_time=happened,
            reporting_controller=f"ance-{self._component}",
            reporting_instance=pod.name,
            action=reason,
            reason=reason,
            type="Warning" if reason in WARNINGS else "Normal",
            note=note.encode()[:NOTE_BYTES].decode(errors="ignore"),
            regarding=self._object(),
        )
        with asking("create events.events.k8s.io"):
            EventsV1Api(self._cluster.api).create_namespaced_event(
                pod.namespace, event, _request_timeout=REQUEST_SECONDS
            )

    def _object(self) -> V1ObjectReference:
        """The object with its uid, without which `kubectl describe` does not show the event."""
        from kubernetes.client import V1ObjectReference

        if self._regarding is None:
            self._regarding = V1ObjectReference(
                api_version=API_VERSIONS[self._kind],
                kind=self._kind,
                name=self._name,
                namespace=self._cluster.namespace,
                uid=self._uid(),
            )
        return self._regarding

    def _uid(self) -> str | None:
        """None where the object may not be read: `kubectl events --for` shows the event all the same."""
        if (self._kind, self._name) == ("Pod", self._cluster.pod.name):
            return self._cluster.pod.uid
        try:
            return object_uid(self._cluster, self._kind, self._name)
        except Refused as error:
            logger.info("events carry no uid: %s", error)
            return None


def object_uid(cluster: Cluster, kind: str, name: str) -> str | None:
    """The uid of an object of this namespace.

    Raises:
        Refused: it is not there, or may not be read.
        Unreachable: the API server does not answer.
    """
    from kubernetes.client import AppsV1Api, BatchV1Api, CoreV1Api, V1ObjectMeta

    apps = AppsV1Api(cluster.api)
    readers: dict[str, Callable[..., Any]] = {
        "Deployment": apps.read_namespaced_deployment,
        "StatefulSet": apps.read_namespaced_stateful_set,
        "Job": BatchV1Api(cluster.api).read_namespaced_job,
        "Pod": CoreV1Api(cluster.api).read_namespaced_pod,
    }
    with asking(f"get {kind} {name}"):
        metadata: V1ObjectMeta = readers[kind](name, cluster.namespace, _request_timeout=REQUEST_SECONDS).metadata
    return metadata.uid


def _parse(regarding: str) -> tuple[str, str]:
    kind, _, name = regarding.partition("/")
    if kind not in API_VERSIONS or not name:
        raise AnceError(
            f"environment variable ANCE_EVENT_OBJECT: {regarding!r} is not Kind/name, where Kind is one of "
            + ", ".join(API_VERSIONS)
        )
    return kind, name

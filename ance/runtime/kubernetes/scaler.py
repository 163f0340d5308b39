"""The built-in autoscaler: the indexer's leader sets the replicas of the inferencers' Deployment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ance.runtime.kubernetes.client import REQUEST_SECONDS, SERVER, Cluster, Refused, asking
from ance.runtime.kubernetes.scaling import ScalingPolicy, Stabiliser, Workload, wanted_replicas
from ance.runtime.outage import OutageLog, Unreachable

logger = logging.getLogger(__name__)


class Scaler:
    """Looks at the workload every `period_seconds`, in a thread of its own. Used as a context, by a leader only.

    A Deployment that may not be scaled is logged once; the pass goes on with the pods it has.

    Args:
        deployment: of the inferencers.
        workload: asked at every look; must be cheap and safe from another thread.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        cluster: Cluster,
        deployment: str,
        policy: ScalingPolicy,
        workload: Callable[[], Workload],
        period_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from kubernetes.client import AppsV1Api

        self._api = AppsV1Api(cluster.api)
        self._namespace = cluster.namespace
        self._deployment = deployment
        self._policy = policy
        self._workload = workload
        self._period = period_seconds
        self._clock = clock
        self._outage = OutageLog("the scaler", SERVER)
        self._refusal = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._stabiliser = Stabiliser(policy.stabilisation_seconds)

    def look(self) -> None:
        """Compare what is wanted with what is there, and change it."""
        try:
            self._scale()
        except Unreachable as error:
            self._outage.began(error)
        except Refused as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                logger.warning("inferencers are not scaled: %s", error)
        else:
            self._outage.ended()

    def _scale(self) -> None:
        workload = self._workload()
        current = self._replicas()
        wanted = wanted_replicas(workload, current, self._policy)
        if not workload.ended:
            wanted = self._stabiliser.steady(self._clock(), wanted, current)
        if wanted != current:
            self._patch(wanted)
            logger.info(
                "inferencers scaled",
                extra={"from": current, "to": wanted, "remaining": workload.remaining, "rate": workload.rate},
            )

    def _replicas(self) -> int:
        with asking(f"get deployments/{self._deployment}/scale"):
            scale = self._api.read_namespaced_deployment_scale(
                self._deployment, self._namespace, _request_timeout=REQUEST_SECONDS
            )
        return (scale.spec.replicas or 0) if scale.spec is not None else 0

    def _patch(self, replicas: int) -> None:
        with asking(f"patch deployments/{self._deployment}/scale"):
            self._api.patch_namespaced_deployment_scale(
                self._deployment,
                self._namespace,
                {"spec": {"replicas": replicas}},
                _request_timeout=REQUEST_SECONDS,
            )

    def _loop(self) -> None:
        while not self._stopping.wait(self._period):
            self.look()

    def __enter__(self) -> Scaler:
        self._stabiliser = Stabiliser(self._policy.stabilisation_seconds)  # others may have led meanwhile
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name="scaler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

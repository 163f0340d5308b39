"""The lease of a leader: one indexer coordinates a run, one trainer trains it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ance.errors import AnceError
from ance.runtime.heartbeat import CANNOT_ASK, Heartbeat
from ance.runtime.kubernetes.client import Cluster
from ance.runtime.kubernetes.lease import KubernetesLease
from ance.runtime.outage import OutageLog
from ance.runtime.redis.client import connect
from ance.runtime.redis.lease import RedisLease
from ance.runtime.settings import LeaderSettings

logger = logging.getLogger(__name__)


class LeaseKeeper(Protocol):
    """Where a lease is kept: in Redis (`RedisLease`) or as an object of Kubernetes (`KubernetesLease`).

    Each method asks the server once, and raises one of `CANNOT_ASK` where it does not answer.
    """

    @property
    def server(self) -> str:
        """Name of the server in logs."""

    @property
    def name(self) -> str:
        """What is leased, e.g. `demo/indexer`."""

    @property
    def ttl_seconds(self) -> float:
        """Without renewal, the lease is free after this long."""

    def acquire(self, floor: int) -> int:
        """A fencing token higher than `floor` and than all before, or 0 while another holds the lease."""

    def renew(self, token: int) -> int:
        """The token of the renewed lease: a higher one if the lease was gone; 0 if another has or had it."""

    def release(self, token: int) -> None:
        """Free the lease, if it is still held under `token`."""


class RunLease:
    """Makes this process the only one of its kind in a run, for as long as it can renew.

    No lease can stop a holder that was paused and wakes up late. The fencing token can: it grows with every
    acquisition, travels in every manifest, and the store refuses an older one.

    Attributes:
        lost: set when the lease is ours no more: another holds it, no renewal succeeded for its time to live, or
            it was released.
        token: the fencing token to publish with. Read it anew for each manifest: it grows when the server lost
            the lease and it was re-acquired before anyone else got it.
        reacquired: how often that happened.
    """

    def __init__(self, keeper: LeaseKeeper) -> None:
        self.lost = threading.Event()
        self.token = 0
        self.reacquired = 0
        self._keeper = keeper
        self._heartbeat: Heartbeat | None = None
        self._outage = OutageLog(f"the lease {keeper.name}", keeper.server)
        self._settling = threading.Lock()

    def acquire(self, floor: Callable[[], int] = lambda: 0, stop: Callable[[], bool] = lambda: False) -> int | None:
        """Wait until the lease is ours, or until `stop()`. Renews itself from then on.

        Args:
            floor: highest token in the store now: a server that lost everything would start again at 1.
            stop: asked before every try, about once a second.

        Returns:
            The fencing token, higher than `floor` and than all before; None when stopped.
        """
        known = floor()
        while not stop():
            token = self.try_acquire(known)
            if token is None:
                time.sleep(min(self._keeper.ttl_seconds / 10, 1.0))
            # The wait may have been long: others have published under newer tokens since.
            elif (known := floor()) < token:
                return token
            else:
                self.release()
        return None

    def try_acquire(self, floor: int = 0) -> int | None:
        """Ask once. Where the lease is ours, it renews itself from then on.

        Args:
            floor: highest token in the store, as in `acquire`.

        Returns:
            The fencing token; None while another holds the lease, or its server does not answer.
        """
        keeper = self._keeper
        try:
            token = keeper.acquire(floor)
        except CANNOT_ASK as error:
            self._outage.began(error)
            return None
        self._outage.ended()
        if not token:
            return None
        self._hold(token)
        logger.info("lease %s acquired with fencing token %d", keeper.name, token)
        return token

    def release(self) -> None:
        """Stop renewing and free the lease, if it is still ours. Harmless when it is not, and from any thread."""
        with self._settling:
            heartbeat, self._heartbeat = self._heartbeat, None
            if heartbeat is None:
                return
            heartbeat.stop()
            self.lost.set()
            try:
                self._keeper.release(self.token)
            except CANNOT_ASK as error:
                keeper = self._keeper
                logger.warning("%s is unreachable, lease %s runs out by itself: %s", keeper.server, keeper.name, error)

    def _hold(self, token: int) -> None:
        keeper = self._keeper
        with self._settling:
            self.token = token
            self.lost.clear()
            self._heartbeat = Heartbeat(
                self._renewed, keeper.ttl_seconds, self.lost, f"lease {keeper.name}", server=keeper.server
            )
            self._heartbeat.start()

    def _renewed(self) -> bool:
        token = self._keeper.renew(self.token)
        if token > self.token:
            logger.warning(
                "lease %s was gone from %s, re-acquired with token %d", self._keeper.name, self._keeper.server, token
            )
            self.token = token
            self.reacquired += 1
        return token > 0


def open_lease(settings: LeaderSettings, role: str, cluster: Cluster | None) -> RunLease:
    """The lease of a run's `role`, e.g. `indexer`, kept where the settings say.

    Raises:
        AnceError: the settings contradict each other, or Redis cannot be used.
    """
    name, holder, seconds = f"{settings.run}/{role}", settings.holder, settings.leader_seconds
    if settings.lease_backend == "redis":
        return RunLease(RedisLease(connect(settings.redis), name, holder, seconds))
    if cluster is None:
        raise AnceError("ANCE_LEASE_BACKEND=kubernetes needs ANCE_KUBERNETES=true")
    return RunLease(KubernetesLease(cluster, name, settings.store, holder, seconds))

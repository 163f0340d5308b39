"""A leader's lease as a Lease object, taken and kept by compare-and-swap on its resourceVersion."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ance.runtime.kubernetes.client import REQUEST_SECONDS, SERVER, Cluster, Conflict, Forbidden, Missing, asking, now
from ance.runtime.outage import Unreachable

if TYPE_CHECKING:
    from kubernetes.client import V1Lease, V1LeaseSpec


class KubernetesLease:
    """Keeps the lease of a `RunLease`, with the rules of client-go's leader election.

    Clocks of different nodes are never compared: a candidate takes the lease when the record has not changed for
    its whole duration on the candidate's own monotonic clock. The fencing token is `leaseTransitions`, which we
    raise with every acquisition, and past what the store has seen.

    Args:
        name: what is leased, e.g. `demo/indexer`.
        scope: URL of the store. Runs of the same name in different stores have leases of their own.
        holder: who asks, e.g. the pod's name; for people to read, it need not be unique.
        ttl_seconds: without renewal, the lease is free after this long, rounded up to a second.
        clock: seconds that only grow.
    """

    server = SERVER

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        scope: str,
        holder: str,
        ttl_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from kubernetes.client import CoordinationV1Api

        self.name = name
        self.ttl_seconds = ttl_seconds
        self.object_name = lease_name(name, scope)
        self._api = CoordinationV1Api(cluster.api)
        self._namespace = cluster.namespace
        # Ours alone, so that a lease with this name on it is ours even if the answer to our request was lost.
        self._identity = f"{holder}_{secrets.token_hex(4)}"
        self._clock = clock
        self._timeout = min(REQUEST_SECONDS, ttl_seconds / 3)
        self._held: V1Lease | None = None
        self._observed: tuple[object, ...] = ()
        self._observed_at = 0.0

    def acquire(self, floor: int) -> int:
        """Ask once. Returns the fencing token, or 0 while another holds the lease.

        Raises:
            Unreachable: the API server does not answer.
            Forbidden: the service account may not use Lease objects.
        """
        try:
            lease = self._read()
            spec = _spec(lease)
            if not self._is_free(spec):
                return 0
            token = max(spec.lease_transitions or 0, floor) + 1
            self._write(lease, self._ours(token, acquired=True))
        except Missing:
            return self._create(floor + 1)
        except Conflict:
            return 0
        return token

    def renew(self, token: int) -> int:
        """Ask for another time to live. Returns the token, a higher one if the lease was deleted, 0 if it is lost.

        Raises:
            Unreachable: the API server does not answer, or the permission was taken away: it may come back.
        """
        try:
            return token if self._change(token, lambda: self._ours(token)) else 0
        except Missing:
            return self._create(token + 1)
        except Forbidden as error:
            raise Unreachable(str(error)) from error

    def release(self, token: int) -> None:
        """Free the lease, if it is still held under `token`: the next candidate need not wait."""
        try:
            self._change(token, lambda: self._nobodys(token))
        except Missing:
            return
        except Forbidden as error:
            raise Unreachable(str(error)) from error

    def _is_free(self, spec: V1LeaseSpec) -> bool:
        record = (spec.holder_identity, spec.lease_transitions, spec.renew_time)
        if record != self._observed:
            self._observed, self._observed_at = record, self._clock()
        if not spec.holder_identity or spec.holder_identity == self._identity:
            return True
        return self._clock() - self._observed_at >= (spec.lease_duration_seconds or 0)

    def _change(self, token: int, spec: Callable[[], V1LeaseSpec]) -> bool:
        """Write over the lease that is held under `token`. False if it is not held so."""
        for _ in range(2):
            lease = self._held or self._read()
            present = _spec(lease)
            if present.holder_identity != self._identity or present.lease_transitions != token:
                return False
            try:
                self._write(lease, spec())
            except Conflict:
                # Another holds it, or only its metadata was touched: look.
                self._held = None
            else:
                return True
        raise Unreachable(f"the lease {self.object_name} is being changed by others all the time")

    def _create(self, token: int) -> int:
        from kubernetes.client import V1Lease, V1ObjectMeta

        lease = V1Lease(metadata=V1ObjectMeta(name=self.object_name), spec=self._ours(token, acquired=True))
        try:
            with asking(f"create leases/{self.object_name}"):
                self._held = self._api.create_namespaced_lease(self._namespace, lease, _request_timeout=self._timeout)
        except Conflict:
            return 0
        return token

    def _read(self) -> V1Lease:
        with asking(f"get leases/{self.object_name}"):
            return self._api.read_namespaced_lease(self.object_name, self._namespace, _request_timeout=self._timeout)

    def _write(self, lease: V1Lease, spec: V1LeaseSpec) -> None:
        """Replace the lease as it was read; refused with Conflict if it has changed since."""
        from kubernetes.client import V1Lease

        changed = V1Lease(metadata=lease.metadata, spec=spec)
        with asking(f"update leases/{self.object_name}"):
            self._held = self._api.replace_namespaced_lease(
                self.object_name, self._namespace, changed, _request_timeout=self._timeout
            )

    def _ours(self, token: int, *, acquired: bool = False) -> V1LeaseSpec:
        from kubernetes.client import V1LeaseSpec

        time = now()
        held = _spec(self._held) if self._held is not None else None
        return V1LeaseSpec(
            holder_identity=self._identity,
            lease_transitions=token,
            lease_duration_seconds=math.ceil(self.ttl_seconds),
            acquire_time=time if acquired or held is None else held.acquire_time,
            renew_time=time,
        )

    def _nobodys(self, token: int) -> V1LeaseSpec:
        from kubernetes.client import V1LeaseSpec

        return V1LeaseSpec(holder_identity="", lease_transitions=token, lease_duration_seconds=1, renew_time=now())


def lease_name(name: str, scope: str) -> str:
    """Name of the Lease object: readable, at most 63 characters, and different for different stores."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].rstrip("-")
    return f"ance-{slug}-{hashlib.sha256(f'{scope} {name}'.encode()).hexdigest()[:8]}"


def _spec(lease: V1Lease) -> V1LeaseSpec:
    from kubernetes.client import V1LeaseSpec

    return lease.spec or V1LeaseSpec()

"""Rolling updates: which pods of a Deployment to make and which to end next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar


class Replica(Protocol):
    """What a Deployment looks at in a pod."""

    @property
    def revision(self) -> str:
        """Hash of the template it was made from."""

    @property
    def ready(self) -> bool:
        """It serves."""

    @property
    def terminating(self) -> bool:
        """It is about to go."""


AnyReplica = TypeVar("AnyReplica", bound=Replica)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far an update may leave the wanted number of pods, in pods."""

    surge: int
    unavailable: int


def bounds(strategy: Mapping[str, Any], replicas: int) -> Bounds | None:
    """Bounds of a rolling update, by default 25 % each; None for the strategy Recreate.

    Raises:
        ValueError: both are zero, which no update could keep.
    """
    if strategy.get("type") == "Recreate":
        return None
    rolling = strategy.get("rollingUpdate") or {}
    surge = _pods(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = _pods(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    if surge == 0 and unavailable == 0:
        raise ValueError("maxSurge and maxUnavailable are both 0")
    return Bounds(surge, unavailable)


def plan(
    replicas: int, revision: str, limits: Bounds | None, pods: Sequence[AnyReplica]
) -> tuple[int, list[AnyReplica]]:
    """The next move of a Deployment.

    Args:
        replicas: wanted.
        revision: hash of the template that is wanted.
        limits: of a rolling update; None ends all old pods before new ones start.
        pods: that exist, those about to go included.

    Returns:
        How many pods to make, and which to end.
    """
    active = [pod for pod in pods if not pod.terminating]
    new = [pod for pod in active if pod.revision == revision]
    old = [pod for pod in active if pod.revision != revision]
    if limits is None and (old or any(pod.terminating and pod.revision != revision for pod in pods)):
        return 0, old
    surge = limits.surge if limits and old else 0
    create = max(0, min(replicas - len(new), replicas + surge - len(active)))
    surplus = sorted(new, key=lambda pod: pod.ready)[: max(0, len(new) - replicas)]
    # An old pod that doesn't serve costs nothing; one that does must leave enough others that do.
    spare = sum(pod.ready for pod in active) - (replicas - (limits.unavailable if limits else 0))
    serving = [pod for pod in old if pod.ready]
    return create, [*surplus, *(pod for pod in old if not pod.ready), *serving[: max(0, spare)]]


def _pods(value: int | str, replicas: int, rounded: Any) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return int(rounded(replicas * int(value[:-1]) / 100))
    return int(value)

"""When an object that is deleted goes: at once, or when those who hold it let it go."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.kubernetes_api.kinds import Object

GRACE_SECONDS = 30
"""Of a pod that does not say."""
ENDED = ("Succeeded", "Failed")


def begin(item: Object, grace: int | None) -> Object:
    """The object with a note that it is deleted.

    Args:
        item: the object; it stays as it is.
        grace: seconds that a pod has to end; None for what it says itself. A later call can only shorten it.
    """
    before = item["metadata"]
    seconds = _seconds(item, grace)
    seconds = min(seconds, before.get("deletionGracePeriodSeconds", seconds))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    marks = {"deletionTimestamp": before.get("deletionTimestamp", now), "deletionGracePeriodSeconds": seconds}
    marked = item | {"metadata": before | marks}
    if item["kind"] == "Namespace":
        marked["status"] = {"phase": "Terminating"}
    return marked


def is_over(item: Object) -> bool:
    """It is deleted, and nobody holds it."""
    metadata = item["metadata"]
    return "deletionTimestamp" in metadata and not (metadata["deletionGracePeriodSeconds"] or finalizers(item))


def finalizers(item: Object) -> list[str]:
    """Who holds the object; for a namespace that is in its spec."""
    holder = item.get("spec", {}) if item["kind"] == "Namespace" else item["metadata"]
    return list(holder.get("finalizers") or ())


def _seconds(item: Object, grace: int | None) -> int:
    """Only pods that run on a node need time to end."""
    spec = item.get("spec") or {}
    if item["kind"] != "Pod" or "nodeName" not in spec or item.get("status", {}).get("phase") in ENDED:
        return 0
    return int(spec.get("terminationGracePeriodSeconds", GRACE_SECONDS)) if grace is None else grace

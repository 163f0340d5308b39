"""Volumes that claims name: bound to each other, and kept for as long as somebody uses them. No volume is made."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kubernetes_api import deletion
from tests.kubernetes_api.kinds import Object, Resource
from tests.kubernetes_api.objects import Objects

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"
IN_USE = {CLAIMS: "kubernetes.io/pvc-protection", VOLUMES: "kubernetes.io/pv-protection"}
"""Finalizer of each kind."""

Found = Sequence[tuple[Resource, Object]]


def bind_volumes(objects: Objects, found: Found) -> None:
    """Bind each claim to the volume that it names, if they match."""
    for place, item in found:
        if place.plural in IN_USE and not deletion.finalizers(item) and "deletionTimestamp" not in item["metadata"]:
            objects.patch(place, {"metadata": {"finalizers": [IN_USE[place.plural]]}})
    volumes = {place.name: item for place, item in found if place.plural == VOLUMES}
    for place, claim in found:
        volume = volumes.get(claim["spec"].get("volumeName", "")) if place.plural == CLAIMS else None
        if volume is not None and "status" not in claim and "claimRef" not in volume["spec"] and _match(claim, volume):
            reference = {"namespace": place.namespace, "name": place.name, "uid": claim["metadata"]["uid"]}
            at = Resource("v1", "", VOLUMES, volume["metadata"]["name"])
            objects.patch(at, {"spec": {"claimRef": reference}})
            objects.set_status(at, {"phase": "Bound"})
            held = {key: volume["spec"][key] for key in ("accessModes", "capacity")}
            objects.set_status(place, {"phase": "Bound", **held})


def let_volumes_go(objects: Objects, found: Found) -> None:
    """Deleted claims go with the last pod that mounts them, deleted volumes with their claim."""
    claims = {item["metadata"]["uid"] for place, item in found if place.plural == CLAIMS}
    used = {
        (place.namespace, volume["persistentVolumeClaim"]["claimName"])
        for place, item in found
        if place.plural == "pods" and item.get("status", {}).get("phase") not in deletion.ENDED
        for volume in item["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    for place, item in found:
        if place.plural == CLAIMS:
            free = (place.namespace, place.name) not in used
        elif place.plural == VOLUMES:
            free = item["spec"].get("claimRef", {}).get("uid") not in claims
            if free and item.get("status", {}).get("phase") == "Bound":
                objects.set_status(place, {"phase": "Released"})
        else:
            continue
        if free and "deletionTimestamp" in item["metadata"]:
            objects.patch(place, {"metadata": {"finalizers": []}})


def _match(claim: Object, volume: Object) -> bool:
    """Same class, and every way of access. `tests/helm/test_e2e.py` sees that the size is enough."""
    wanted, offered = claim["spec"], volume["spec"]
    same_class = wanted.get("storageClassName") == offered.get("storageClassName", "")
    return same_class and set(wanted["accessModes"]) <= set(offered["accessModes"])

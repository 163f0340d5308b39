"""What a cluster does by itself beside running pods: accounts, volumes, garbage, and the end of namespaces."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kubernetes_api import deletion
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.objects import Objects
from tests.kubernetes_api.volumes import bind_volumes, let_volumes_go

Found = Sequence[tuple[Resource, Object]]


def keep_house(objects: Objects, found: Found) -> None:
    """One turn of all controllers.

    Args:
        objects: of the API server.
        found: what they are now.
    """
    for turn in (_make_accounts, bind_volumes, _collect_garbage, _empty_namespaces, let_volumes_go):
        try:
            turn(objects, found)
        except Refusal as refusal:
            if refusal.reason != "NotFound":  # a client was faster: the next turn sees what is left
                raise


def _make_accounts(objects: Objects, found: Found) -> None:
    """A namespace has an account for pods that name none, a moment after it was made."""
    have = {(place.namespace, place.name) for place, _ in found if place.plural == "serviceaccounts"}
    for namespace in _namespaces(found):
        name = namespace["metadata"]["name"]
        if "deletionTimestamp" not in namespace["metadata"] and (name, "default") not in have:
            objects.create(Resource("v1", name, "serviceaccounts", "default"), {"metadata": {"name": "default"}})


def _collect_garbage(objects: Objects, found: Found) -> None:
    """What has lost its last owner goes."""
    alive = {item["metadata"]["uid"] for _, item in found}
    for place, item in found:
        owners = {reference["uid"] for reference in item["metadata"].get("ownerReferences") or ()}
        if owners and not owners & alive and "deletionTimestamp" not in item["metadata"]:
            objects.delete(place)


def _empty_namespaces(objects: Objects, found: Found) -> None:
    """What is in a namespace that is deleted goes before the namespace."""
    for namespace in _namespaces(found):
        if "deletionTimestamp" not in namespace["metadata"]:
            continue
        name = namespace["metadata"]["name"]
        inside = [(place, item) for place, item in found if place.namespace == name]
        for place, item in inside:
            if "deletionTimestamp" not in item["metadata"]:
                objects.delete(place)
        if not inside and deletion.finalizers(namespace):
            objects.patch(Resource("v1", "", "namespaces", name), {"spec": {"finalizers": []}})


def _namespaces(found: Found) -> list[Object]:
    return [item for place, item in found if place.plural == "namespaces"]

"""Namespaces, volumes and garbage go as they would on a real cluster."""

from __future__ import annotations

import pytest

from tests.kubernetes_api.control_plane import keep_house
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.objects import Objects

SPACE = Resource("v1", "", "namespaces", "space")
POD = Resource("v1", "space", "pods", "pod")
CLAIM = Resource("v1", "space", "persistentvolumeclaims", "claim")
VOLUME = Resource("v1", "", "persistentvolumes", "volume")
MOUNTED = [{"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}}]
CLAIM_SPEC: Object = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "",
    "volumeName": "volume",
}
VOLUME_SPEC: Object = {
    "accessModes": ["ReadWriteOnce"],
    "capacity": {"storage": "1Gi"},
    "hostPath": {"path": "/data"},
    "storageClassName": "",
}
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def objects() -> Objects:
    """Those of a cluster with one namespace, which is restricted."""
    found = Objects()
    found.create(SPACE, {"metadata": {"name": "space", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    settle(found)
    return found


def settle(objects: Objects) -> None:
    """Let the controllers work until they have nothing more to do."""
    version = -1
    while version != objects.version:
        version = objects.version
        keep_house(objects, objects.all())


def create(objects: Objects, place: Resource, spec: Object, **metadata: object) -> Object:
    return objects.create(place, {"metadata": {"name": place.name, **metadata}, "spec": spec})


def pod(**spec: object) -> Object:
    return {"containers": [{"name": "main", "image": "ance", "securityContext": SAFE}], **spec}


def places(objects: Objects) -> set[str]:
    return {place.plural for place, _ in objects.all()}


def phase(objects: Objects, place: Resource) -> str:
    return str(objects.get(place)["status"]["phase"])


def test_a_pod_that_runs_goes_when_its_node_says_so_or_by_force(objects: Objects) -> None:
    create(objects, POD, pod(nodeName="node", terminationGracePeriodSeconds=5))
    marked = objects.delete(POD)["metadata"]
    assert marked["deletionGracePeriodSeconds"] == 5
    assert objects.delete(POD, 60)["metadata"]["deletionGracePeriodSeconds"] == 5, "it can only become shorter"
    assert "pods" in places(objects)
    objects.delete(POD, 0)
    assert "pods" not in places(objects)


def test_a_pod_that_runs_nowhere_or_has_ended_goes_at_once(objects: Objects) -> None:
    create(objects, POD, pod())
    objects.delete(POD)
    create(objects, POD, pod(nodeName="node"))
    objects.set_status(POD, {"phase": "Succeeded"})
    objects.delete(POD)
    assert "pods" not in places(objects)


def test_a_finalizer_holds_what_is_deleted_by_force(objects: Objects) -> None:
    create(objects, POD, pod(nodeName="node"), finalizers=["example.org/counted"])
    objects.delete(POD, 0)
    assert objects.get(POD)["metadata"]["deletionTimestamp"]
    objects.patch(POD, {"metadata": {"finalizers": []}})
    assert "pods" not in places(objects)


def test_a_namespace_goes_after_all_that_is_in_it(objects: Objects) -> None:
    create(objects, POD, pod(nodeName="node"))
    objects.delete(SPACE)
    settle(objects)
    assert phase(objects, SPACE) == "Terminating"
    assert places(objects) == {"namespaces", "pods"}, "the pod has time to end"
    with pytest.raises(Refusal, match="being terminated"):
        create(objects, Resource("v1", "space", "pods", "late"), pod())
    objects.delete(POD, 0)
    settle(objects)
    assert places(objects) == set()


def test_what_has_lost_its_owner_goes(objects: Objects) -> None:
    owner = create(objects, POD, pod())
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "pod", "uid": owner["metadata"]["uid"]}
    create(objects, Resource("v1", "space", "pods", "owned"), pod(), ownerReferences=[reference])
    settle(objects)
    assert len(objects.list("pods")) == 2
    objects.delete(POD)
    settle(objects)
    assert objects.list("pods") == []


def test_a_claim_and_its_volume_are_bound_and_stay_while_they_are_used(objects: Objects) -> None:
    create(objects, VOLUME, VOLUME_SPEC)
    create(objects, CLAIM, CLAIM_SPEC)
    create(objects, POD, pod(nodeName="node", volumes=MOUNTED))
    settle(objects)
    assert phase(objects, CLAIM) == phase(objects, VOLUME) == "Bound"
    objects.delete(CLAIM)
    objects.delete(VOLUME)
    settle(objects)
    assert {"persistentvolumeclaims", "persistentvolumes"} <= places(objects)
    objects.delete(POD, 0)
    settle(objects)
    assert not {"persistentvolumeclaims", "persistentvolumes"} & places(objects)


@pytest.mark.parametrize("other", [{"storageClassName": "fast"}, {"accessModes": ["ReadWriteMany"]}])
def test_a_claim_that_asks_for_something_else_stays_unbound(objects: Objects, other: Object) -> None:
    create(objects, VOLUME, VOLUME_SPEC)
    create(objects, CLAIM, CLAIM_SPEC | other)
    settle(objects)
    assert "status" not in objects.get(CLAIM)


def test_a_namespace_lets_in_no_pod_without_an_account_or_with_more_than_its_standard(objects: Objects) -> None:
    unsafe: Object = {"containers": [{"name": "main", "image": "ance", "securityContext": {"runAsUser": 0}}]}
    with pytest.raises(Refusal, match="main: runAsUser is 0"):
        create(objects, POD, unsafe)
    with pytest.raises(Refusal, match="service account space/other"):
        create(objects, POD, pod(serviceAccountName="other"))
    free = Resource("v1", "", "namespaces", "free")
    objects.create(free, {"metadata": {"name": "free"}})
    with pytest.raises(Refusal, match="service account free/default"):
        create(objects, Resource("v1", "free", "pods", "pod"), unsafe)
    settle(objects)
    create(objects, Resource("v1", "free", "pods", "pod"), unsafe)

"""Objects as the API server keeps them: versioned, validated, replaced by compare-and-swap, owned field by field."""

from __future__ import annotations

import copy
import itertools
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.kubernetes_api import deletion
from tests.kubernetes_api.admission import admit
from tests.kubernetes_api.apply import Manager, Owners, apply, update
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.namespaces import admit_into
from tests.kubernetes_api.patches import json_merge
from tests.kubernetes_api.structure import structure_of

SOMEBODY = Manager("somebody", applies=False)
GIVEN = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
"""Metadata that the server alone sets."""


@dataclass(frozen=True)
class Change:
    """One event of a watch."""

    version: int
    event: str
    resource: Resource
    item: Object


class Objects:
    """All objects of a cluster. Thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._owners: dict[tuple[str, str, str], Owners] = {}
        self._changes: list[Change] = []
        self._versions = itertools.count(1)
        self._changed = threading.Condition(threading.RLock())

    def get(self, resource: Resource) -> Object:
        with self._changed:
            return copy.deepcopy(self._present(resource))

    def list(self, plural: str, namespace: str = "") -> list[Object]:
        """All objects of a kind, oldest first, in one namespace or in all."""
        with self._changed:
            return [
                copy.deepcopy(found)
                for (place, kind, _), found in self._objects.items()
                if kind == plural and namespace in ("", place)
            ]

    def all(self) -> Sequence[tuple[Resource, Object]]:
        """Every object with its place."""
        with self._changed:
            return [
                (Resource(found["apiVersion"], place, plural, name), copy.deepcopy(found))
                for (place, plural, name), found in self._objects.items()
            ]

    @property
    def version(self) -> int:
        """Of the newest change."""
        with self._changed:
            return self._changes[-1].version if self._changes else 0

    def changes(self, since: int, seconds: float) -> Sequence[Change]:
        """Changes after a version; waits for one if there are none."""
        with self._changed:
            self._changed.wait_for(lambda: self.version > since, seconds)
            return [change for change in self._changes if change.version > since]

    def create(self, resource: Resource, body: Object, manager: Manager = SOMEBODY) -> Object:
        metadata = body.setdefault("metadata", {})
        name = metadata.get("name")
        named = Resource(resource.api_version, resource.namespace, resource.plural, name)
        if not name:
            raise Refusal(422, "Invalid", "metadata.name: Required value")
        if metadata.get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        with self._changed:
            if self._key(named) in self._objects:
                raise Refusal(409, "AlreadyExists", f"{named.plural} {name!r} already exists")
            return self._update(named, body, manager)

    def replace(self, resource: Resource, body: Object, manager: Manager = SOMEBODY) -> Object:
        with self._changed:
            metadata = body["metadata"]
            if self._key(resource) not in self._objects and metadata.get("uid"):
                raise Refusal(409, "Conflict", "Precondition failed: UID in object meta:")
            present = self._present(resource)["metadata"]
            if metadata.get("resourceVersion", present["resourceVersion"]) != present["resourceVersion"]:
                raise Refusal(409, "Conflict", "the object has been modified")
            if metadata.get("uid", present["uid"]) != present["uid"]:
                raise Refusal(409, "Conflict", "Precondition failed: UID")
            return self._update(resource, body, manager)

    def patch(
        self,
        resource: Resource,
        patch: Object,
        manager: Manager = SOMEBODY,
        patched: Callable[[Object, Object], Object] = json_merge,
    ) -> Object:
        """Change an object by `patched(present, patch)`."""
        with self._changed:
            return self._update(resource, patched(self.get(resource), patch), manager)

    def apply(self, resource: Resource, config: Object, manager: Manager, *, force: bool) -> Object:
        """Make an object be as a manager wants it (server-side apply)."""
        with self._changed:
            key, structure = self._key(resource), structure_of(resource.kind)
            live = copy.deepcopy(self._objects.get(key, {}))
            owners = self._owners.get(key, {})
            item, owners = apply(live, config, structure, owners, manager, force=force)
            kept = self._keep(resource, item)
            self._own(key, owners)
            return kept

    def set_status(self, resource: Resource, status: Object) -> Object:
        """What a controller or kubelet says of an object."""
        with self._changed:
            return self._keep(resource, self.get(resource) | {"status": status}, status=True)

    def delete(self, resource: Resource, grace: int | None = None) -> Object:
        """Delete an object, or begin to: pods that run and what has finalizers stay until they are let go.

        Args:
            resource: its place.
            grace: seconds that a pod has to end; None for what it says itself.
        """
        with self._changed:
            return self._store(resource, deletion.begin(self._present(resource), grace))

    def _update(self, resource: Resource, body: Object, manager: Manager) -> Object:
        key = self._key(resource)
        before = self._objects.get(key, {})
        kept = self._keep(resource, body)
        self._own(key, update(before, kept, structure_of(resource.kind), self._owners.get(key, {}), manager))
        return kept

    def _own(self, key: tuple[str, str, str], owners: Owners) -> None:
        if key in self._objects:  # the change may have been the last thing that held a deleted object
            self._owners[key] = owners

    def _keep(self, resource: Resource, body: Object, *, status: bool = False) -> Object:
        before = self._objects.get(self._key(resource))
        kind = resource.kind
        body = copy.deepcopy(body) | {"apiVersion": kind.api_version, "kind": kind.name}
        if not status:
            body.pop("status", None)
            body |= {"status": before["status"]} if before and "status" in before else {}
        past = before["metadata"] if before else {"uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        body["metadata"] |= {name: past[name] for name in GIVEN if name in past}
        body["metadata"] |= {"name": resource.name} | ({"namespace": resource.namespace} if kind.namespaced else {})
        admit(body, before, kind)
        namespace = self._objects.get(("", "namespaces", resource.namespace))
        if before is None and namespace is not None:
            accounts = {account["metadata"]["name"] for account in self.list("serviceaccounts", resource.namespace)}
            admit_into(namespace, body, accounts)
        return self._store(resource, body)

    def _store(self, resource: Resource, body: Object) -> Object:
        key = self._key(resource)
        event = "MODIFIED" if key in self._objects else "ADDED"
        if deletion.is_over(body):
            event = "DELETED"
            self._objects.pop(key)
            self._owners.pop(key, None)
        else:
            self._objects[key] = body
        self._note(event, resource, body)
        return copy.deepcopy(body)

    def _note(self, event: str, resource: Resource, item: Object) -> None:
        version = next(self._versions)
        item["metadata"]["resourceVersion"] = str(version)
        self._changes.append(Change(version, event, resource, copy.deepcopy(item)))
        self._changed.notify_all()

    def _present(self, resource: Resource) -> Object:
        if self._key(resource) not in self._objects:
            raise Refusal(404, "NotFound", f"{resource.plural} {resource.name!r} not found")
        return self._objects[self._key(resource)]

    @staticmethod
    def _key(resource: Resource) -> tuple[str, str, str]:
        return resource.namespace, resource.plural, resource.name


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

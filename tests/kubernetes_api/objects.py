"""Objects as the API server keeps them: versioned, validated, and replaced by compare-and-swap."""

from __future__ import annotations

import copy
import itertools
import re
import threading
import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import kubernetes_validate

VERSION = "1.33"
"""Of Kubernetes, whose schemas objects are held to."""
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
KINDS = {
    "leases": "Lease",
    "events": "Event",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "jobs": "Job",
    "pods": "Pod",
}

Object = dict[str, Any]
_valid_shapes: set[Hashable] = set()


@dataclass
class Refusal(Exception):
    """An answer that is an error."""

    status: int
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Resource:
    """What a path names, e.g. `apps/v1`, `default`, `deployments`, `encoder`."""

    api_version: str
    namespace: str
    plural: str
    name: str

    @property
    def kind(self) -> str:
        return KINDS[self.plural]


class Objects:
    """All objects of a cluster. Thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._versions = itertools.count(1)
        self._lock = threading.RLock()

    def get(self, resource: Resource) -> Object:
        with self._lock:
            return copy.deepcopy(self._present(resource))

    def list(self, plural: str) -> list[Object]:
        """All objects of a kind, oldest first."""
        with self._lock:
            return [copy.deepcopy(found) for (_, kind, _), found in self._objects.items() if kind == plural]

    def create(self, resource: Resource, body: Object) -> Object:
        metadata = body.setdefault("metadata", {})
        name = metadata.get("name")
        named = Resource(resource.api_version, resource.namespace, resource.plural, name)
        if not name:
            raise Refusal(422, "Invalid", "metadata.name: Required value")
        if metadata.get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        with self._lock:
            if self._key(named) in self._objects:
                raise Refusal(409, "AlreadyExists", f"{named.plural} {name!r} already exists")
            metadata |= {"namespace": named.namespace, "uid": str(uuid.uuid4())}
            return self._keep(named, body)

    def replace(self, resource: Resource, body: Object) -> Object:
        with self._lock:
            metadata = body["metadata"]
            if self._key(resource) not in self._objects and metadata.get("uid"):
                raise Refusal(409, "Conflict", "Precondition failed: UID in object meta:")
            present = self._present(resource)["metadata"]
            if metadata.get("resourceVersion", present["resourceVersion"]) != present["resourceVersion"]:
                raise Refusal(409, "Conflict", "the object has been modified")
            if metadata.get("uid", present["uid"]) != present["uid"]:
                raise Refusal(409, "Conflict", "Precondition failed: UID")
            metadata |= {"namespace": resource.namespace, "uid": present["uid"]}
            return self._keep(resource, body)

    def patch(self, resource: Resource, patch: Object) -> Object:
        with self._lock:
            return self._keep(resource, merged(self._present(resource), patch))

    def delete(self, resource: Resource) -> None:
        with self._lock:
            self._present(resource)
            del self._objects[self._key(resource)]

    def _keep(self, resource: Resource, body: Object) -> Object:
        body = copy.deepcopy(body) | {"apiVersion": resource.api_version, "kind": resource.kind}
        validate(body)
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[self._key(resource)] = body
        return copy.deepcopy(body)

    def _present(self, resource: Resource) -> Object:
        if self._key(resource) not in self._objects:
            raise Refusal(404, "NotFound", f"{resource.plural} {resource.name!r} not found")
        return self._objects[self._key(resource)]

    @staticmethod
    def _key(resource: Resource) -> tuple[str, str, str]:
        return resource.namespace, resource.plural, resource.name


def merged(present: Object, patch: Object) -> Object:
    """The object with a JSON merge patch applied (RFC 7386)."""
    result = copy.deepcopy(present)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result


def validate(body: Object) -> None:
    """Hold an object to the schema of its kind, and to what the API server checks beyond it."""
    shape = _shape(body)
    if shape not in _valid_shapes:  # reading the schemas takes a tenth of a second
        try:
            kubernetes_validate.validate(body, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refusal(422, "Invalid", error.message) from error
        _valid_shapes.add(shape)
    match body["kind"]:
        case "Lease":
            _validate_lease(body["spec"])
        case "Event":
            _validate_event(body)


def _shape(value: Any) -> Hashable:
    """Keys and types, which is what a schema is about; kinds are told apart by their keys."""
    if isinstance(value, dict):
        return frozenset((key, value[key] if key == "kind" else _shape(value[key])) for key in value)
    if isinstance(value, list):
        return tuple(_shape(item) for item in value)
    return type(value)


def _validate_lease(spec: Object) -> None:
    _require(spec.get("leaseDurationSeconds", 1) > 0, "spec.leaseDurationSeconds: must be greater than 0")
    _require(spec.get("leaseTransitions", 0) >= 0, "spec.leaseTransitions: must be greater than or equal to 0")
    for field in ("acquireTime", "renewTime"):
        _require(MICRO_TIME.fullmatch(spec.get(field, "2000-01-01T00:00:00.000000Z")), f"spec.{field}: no MicroTime")


def _validate_event(event: Object) -> None:
    _require(MICRO_TIME.fullmatch(event.get("eventTime", "")), "eventTime: no MicroTime")
    _require(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?", event.get("reportingController", "")), "name")
    for field in ("reportingInstance", "action", "reason"):
        _require(0 < len(event.get(field, "")) <= 128, f"{field}: 1 to 128 characters")
    _require(event.get("type") in ("Normal", "Warning"), "type: Normal or Warning")
    _require(len(event.get("note", "").encode()) <= 1024, "note: at most 1kB")
    _require(event["regarding"]["namespace"] == event["metadata"]["namespace"], "regarding.namespace: another one")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise Refusal(422, "Invalid", message)

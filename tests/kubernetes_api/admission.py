"""What the API server does to an object before it is stored: defaults, schemas, and fields that may not change."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

from tests.helm.schemas import schema_errors
from tests.kubernetes_api.kinds import Kind, Object, Refusal
from tests.kubernetes_api.structure import VERSION

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
FIXED = {
    "Deployment": ("selector",),
    "Job": ("completionMode", "podFailurePolicy", "selector", "template"),
    "StatefulSet": ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates"),
    "PersistentVolumeClaim": ("accessModes", "selector", "storageClassName", "volumeMode", "volumeName"),
}
"""Fields of a kind's spec that stay what they were."""

_valid_shapes: set[Hashable] = set()


def admit(body: Object, before: Object | None, kind: Kind) -> None:
    """Fill in defaults, then check.

    Raises:
        Refusal: the object is not valid, or it changes what cannot change.
    """
    if kind.scales:
        body["spec"].setdefault("replicas", 1)
    if kind.name == "Namespace":
        body.setdefault("spec", {"finalizers": ["kubernetes"]})
    if kind.name == "Pod":
        body.setdefault("status", {"phase": "Pending"})
    validate(body)
    for name in FIXED.get(kind.name, ()):
        if before is not None and body["spec"].get(name) != before["spec"].get(name):
            raise Refusal(422, "Invalid", f"{kind.name} {body['metadata']['name']}: spec.{name}: field is immutable")
    if before is not None and body.get("roleRef") != before.get("roleRef"):
        raise Refusal(422, "Invalid", f"{kind.name} {body['metadata']['name']}: roleRef: cannot change roleRef")


def validate(body: Object) -> None:
    """Hold an object to the schema of its kind, and to what the API server checks beyond it.

    Raises:
        Refusal: it is not valid.
    """
    shape = _shape(body)
    if shape not in _valid_shapes:  # a schema takes milliseconds, and Leases are renewed by the hundred
        if errors := schema_errors(body, VERSION):
            raise Refusal(422, "Invalid", "; ".join(errors))
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

"""What a client learns about the server before it asks for objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from tests.kubernetes_api.kinds import Kind, Object, Refusal
from tests.kubernetes_api.structure import VERSION

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def discover(path: str, kinds: Sequence[Kind]) -> Object:
    """The answer to a question about the server itself.

    Raises:
        Refusal: it is none.
    """
    groups = {version: list(found) for version, found in groupby(kinds, lambda kind: kind.api_version)}
    roots = {"api/v1" if version == "v1" else f"apis/{version}": version for version in groups}
    path = path.strip("/")
    if path == "version":
        major, minor = VERSION.split(".")
        return {"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0"}
    if path == "api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups if name != "v1"]}
    if path == "openapi/v3":
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    if (root := path.removeprefix("openapi/v3/")) in roots and root != path:
        return _operations(root, groups[roots[root]])
    if path in roots:
        resources = [one for kind in groups[roots[path]] for one in _resources(kind)]
        return {"kind": "APIResourceList", "groupVersion": roots[path], "resources": resources}
    raise Refusal(404, "NotFound", f"/{path}")


def _group(api_version: str) -> Object:
    name, _, version = api_version.partition("/")
    known = {"groupVersion": api_version, "version": version}
    return {"name": name, "versions": [known], "preferredVersion": known}


def _resources(kind: Kind) -> list[Object]:
    about: Object = {"name": kind.plural, "singularName": kind.name.lower(), "kind": kind.name}
    about["namespaced"] = kind.namespaced
    found = [about | {"verbs": VERBS}]
    if kind.scales:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "name": f"{kind.plural}/scale"}
        found.append(about | scale | {"verbs": ["get", "patch", "update"]})
    return found


def _operations(root: str, kinds: Sequence[Kind]) -> Object:
    """That the server validates by itself is all that clients look for."""
    paths: dict[str, Any] = {}
    for kind in kinds:
        group, _, version = kind.api_version.rpartition("/")
        parameters = [{"name": name, "in": "query"} for name in ("dryRun", "fieldManager", "fieldValidation", "force")]
        about = {"group": group, "version": version, "kind": kind.name}
        patch = {"x-kubernetes-group-version-kind": about, "parameters": parameters}
        place = f"namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else kind.plural
        paths[f"/{root}/{place}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": VERSION}, "paths": paths}

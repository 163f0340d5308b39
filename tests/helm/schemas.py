"""The strict schemas of kubernetes-validate, each read once: the package itself reads megabytes for every object."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}
"""API versions of custom resources, which Kubernetes has no schema of."""


def schema_errors(item: dict[str, Any], version: str) -> list[str]:
    """What the API server of a version, e.g. 1.33, would not take in an object, unknown fields included."""
    if item["apiVersion"] in CUSTOM:
        return []
    group, _, api = item["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (item["kind"].lower(), group.split(".")[0], api)))
    who = f"{item['kind']}/{item['metadata']['name']}"
    return [f"{who}: {error.json_path}: {error.message}" for error in _validator(name, version).iter_errors(item)]


@cache
def _validator(name: str, version: str) -> Draft202012Validator:
    definitions = Resource.from_contents(_read("_definitions", version))
    return Draft202012Validator(_read(name, version), registry=definitions @ Registry())


@cache
def _read(name: str, version: str) -> Any:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / f"{name}.json").read_text())

"""Rendered manifests as plain objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

Object = dict[str, Any]

RUNNABLE = frozenset({"Deployment", "StatefulSet", "Job"})


class ManifestError(Exception):
    """A manifest that no cluster would run as meant; the message names the object."""


class Objects:
    """The objects of one namespace, by kind and name."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._objects = {(item["kind"], item["metadata"]["name"]): item for item in objects}

    def get(self, kind: str, name: str) -> Object:
        """An object.

        Raises:
            ManifestError: there is none; the message lists those there are.
        """
        if (kind, name) not in self._objects:
            known = ", ".join(sorted(other for found, other in self._objects if found == kind)) or "none"
            raise ManifestError(f"{kind} {name} does not exist (there are: {known})")
        return self._objects[kind, name]

    def find(self, kind: str, name: str) -> Object | None:
        """An object, or None."""
        return self._objects.get((kind, name))

    def of(self, *kinds: str) -> list[Object]:
        """All objects of some kinds, in the order in which they were written."""
        return [item for (kind, _), item in self._objects.items() if kind in kinds]

    def put(self, item: Object) -> None:
        """Add or replace an object."""
        self._objects[item["kind"], item["metadata"]["name"]] = item

    def remove(self, item: Object) -> None:
        """Forget an object."""
        self._objects.pop((item["kind"], item["metadata"]["name"]), None)

    def all(self) -> list[Object]:
        """Every object."""
        return list(self._objects.values())


def parse(text: str) -> list[Object]:
    """Objects of what `helm template` printed; lists are unpacked, empty documents dropped."""
    objects: list[Object] = []
    for document in yaml.safe_load_all(text):
        if document:
            objects += document["items"] if document["kind"] == "List" else [document]
    return objects


def hooks(item: Object) -> frozenset[str]:
    """Helm hooks that an object belongs to, e.g. {'test'}; empty for an object of the release."""
    annotation = (item["metadata"].get("annotations") or {}).get("helm.sh/hook", "")
    return frozenset(name.strip() for name in annotation.split(",") if name.strip())


def template_hash(template: Mapping[str, Any]) -> str:
    """Same for equal pod templates only."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """True if labels match an equality selector. An empty selector matches nothing, as in a Service."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())

"""The structure of a kind, from the OpenAPI schemas: which lists are maps, and which maps are one value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tests.kubernetes_api.kinds import Kind, Object, Refusal

VERSION = "1.33"
"""Of Kubernetes, whose schemas objects are held to."""
DEFAULTS = {"protocol": "TCP"}
"""Keys of list entries that may be left out."""

Key = tuple[tuple[str, Any], ...]
"""What tells one entry of a list from the others, e.g. (("name", "redis"),)."""


@dataclass(frozen=True)
class Structure:
    """Of one node of an object. The unknown one (of a custom kind) merges maps and replaces lists."""

    schema: Object

    @property
    def keys(self) -> tuple[str, ...]:
        """Fields by which the list is a map; () where it is none."""
        return tuple(self.schema.get("x-kubernetes-list-map-keys", ()))

    @property
    def is_set(self) -> bool:
        return self.schema.get("x-kubernetes-list-type") == "set"

    @property
    def is_atomic(self) -> bool:
        """The map is one value."""
        return self.schema.get("x-kubernetes-map-type") == "atomic"

    @property
    def merge_key(self) -> str:
        """The field by which a strategic merge patch finds entries of the list."""
        return str(self.schema.get("x-kubernetes-patch-merge-key", ""))

    @property
    def merges(self) -> bool:
        """A strategic merge patch merges the list, and does not replace it."""
        return "merge" in self.schema.get("x-kubernetes-patch-strategy", "").split(",")

    def field(self, name: str) -> Structure:
        """Of a field of the map."""
        below = self.schema.get("properties", {}).get(name)
        return _resolved(below if below is not None else self.schema.get("additionalProperties"))

    @property
    def entry(self) -> Structure:
        """Of the entries of the list."""
        return _resolved(self.schema.get("items"))

    def key(self, entry: Object) -> Key:
        """The key of an entry of the list."""
        return tuple((name, entry.get(name, DEFAULTS.get(name))) for name in self.keys)


@cache
def structure_of(kind: Kind) -> Structure:
    """Of the objects of a kind.

    Raises:
        Refusal: it is built in, and the schemas do not have it.
    """
    if kind.custom:
        return Structure({})
    group, _, version = kind.api_version.rpartition("/")
    name = {"group": group, "version": version, "kind": kind.name}
    for schema in _definitions().values():
        if name in schema.get("x-kubernetes-group-version-kind", ()):
            return Structure(schema)
    raise Refusal(500, "InternalError", f"no schema of {kind}")


def _resolved(schema: Any) -> Structure:
    if not isinstance(schema, dict):
        return Structure({})
    if name := schema.get("$ref"):
        schema = _definitions()[name.removeprefix("#/$defs/")] | schema
    return Structure(schema)


@cache
def _definitions() -> dict[str, Object]:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    found: dict[str, Object] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return found

"""Environment, command and arguments of a container, resolved as the kubelet does."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.pods.manifests import ManifestError, Object, Objects

REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")
SUFFIXES = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


@dataclass(frozen=True, slots=True)
class PodFields:
    """What the downward API tells a container."""

    name: str
    namespace: str
    uid: str
    ip: str
    node: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str

    def get(self, path: str) -> str:
        """Value of a fieldRef.

        Raises:
            ManifestError: the downward API has no such field.
        """
        for prefix, values in (("metadata.labels", self.labels), ("metadata.annotations", self.annotations)):
            if path.startswith(f"{prefix}['"):
                return values.get(path.removeprefix(f"{prefix}['").removesuffix("']"), "")
        values = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.uid,
            "status.podIP": self.ip,
            "status.podIPs": self.ip,
            "status.hostIP": self.node,
            "spec.nodeName": self.node,
            "spec.serviceAccountName": self.service_account,
        }
        if path not in values:
            raise ManifestError(f"pod {self.name}: no fieldRef {path}")
        return values[path]


def resolve(
    container: Mapping[str, Any], fields: PodFields, objects: Objects, given: Mapping[str, str]
) -> dict[str, str]:
    """Environment of a container.

    Args:
        container: of the pod template.
        fields: of its pod.
        objects: ConfigMaps and Secrets of the namespace.
        given: environment of the image and of the Services; the container's own variables win.

    Raises:
        ManifestError: a reference leads nowhere, as in CreateContainerConfigError.
    """
    environment = dict(given)
    for source in container.get("envFrom") or ():
        (kind, reference), *_ = ((key, value) for key, value in source.items() if key != "prefix")
        values = data_of(kind.removesuffix("Ref"), reference, objects)
        environment |= {source.get("prefix", "") + key: value for key, value in values.items()}
    for variable in container.get("env") or ():
        name = variable["name"]
        if "valueFrom" in variable:
            value = _referred(variable["valueFrom"], container, fields, objects)
            if value is not None:
                environment[name] = value
        else:
            environment[name] = expand(str(variable.get("value", "")), environment)
    return environment


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace $(NAME); $$ is a dollar sign, and a reference to an unknown variable stays as it is."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else environment.get(name, match.group(0))

    return REFERENCE.sub(replace, text)


def command_line(
    container: Mapping[str, Any], environment: Mapping[str, str], entrypoint: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    """What a container executes: a command hides the image's entry point and arguments, args hide its arguments."""
    command = container.get("command") or entrypoint
    args = container.get("args") or ([] if container.get("command") else arguments)
    line = [expand(str(word), environment) for word in (*command, *args)]
    if not line:
        raise ManifestError(f"container {container['name']}: nothing to execute")
    return line


def data_of(kind: str, reference: Mapping[str, Any], objects: Objects) -> dict[str, str]:
    """Contents of a ConfigMap (`configMap`) or Secret (`secret`); empty where an optional one is missing."""
    name = reference.get("name") or reference.get("secretName", "")
    item = objects.find({"configMap": "ConfigMap", "secret": "Secret"}[kind], name)
    if item is None:
        if reference.get("optional"):
            return {}
        raise ManifestError(f"{kind} {name} does not exist")
    return contents(item)


def contents(item: Object) -> dict[str, str]:
    """Text of each key of a ConfigMap or Secret."""
    if item["kind"] == "ConfigMap":
        return {key: str(value) for key, value in (item.get("data") or {}).items()}
    decoded = {key: base64.b64decode(value, validate=True).decode() for key, value in (item.get("data") or {}).items()}
    return decoded | {key: str(value) for key, value in (item.get("stringData") or {}).items()}


def quantity(text: str | float) -> float:
    """A resource quantity, e.g. 500m or 2Gi, in cores or bytes."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    if match is None or match.group(2) not in SUFFIXES:
        raise ManifestError(f"{text} is not a quantity")
    return float(match.group(1)) * SUFFIXES[match.group(2)]


def _referred(
    source: Mapping[str, Any], container: Mapping[str, Any], fields: PodFields, objects: Objects
) -> str | None:
    (kind, reference), *_ = source.items()
    if kind == "fieldRef":
        return fields.get(reference["fieldPath"])
    if kind == "resourceFieldRef":
        return str(resource(container, reference))
    values = data_of(kind.removesuffix("KeyRef"), reference, objects)
    if reference["key"] not in values and not reference.get("optional"):
        raise ManifestError(f"container {container['name']}: {kind} {reference['name']} has no key {reference['key']}")
    return values.get(reference["key"])


def resource(container: Mapping[str, Any], reference: Mapping[str, Any]) -> int:
    """Value of a resourceFieldRef, rounded up to its divisor."""
    group, _, name = reference["resource"].partition(".")
    amount = (container.get("resources") or {}).get(group, {}).get(name)
    if amount is None:
        raise ManifestError(f"container {container['name']} has no {reference['resource']}")
    return math.ceil(quantity(amount) / quantity(reference.get("divisor") or "1"))

"""Volumes of a pod as folders of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pods.environment import PodFields, data_of, expand, resource
from tests.pods.manifests import ManifestError, Object, Objects

READ_ONLY = frozenset({"configMap", "secret", "projected", "downwardAPI"})


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of this machine, and whether containers may write to it."""

    folder: Path
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """What outlives pods."""

    claims: Path
    """One folder a PersistentVolumeClaim that names no volume."""
    node: Path
    """Stands for the root of the node's file system."""
    host_paths: bool = False
    """Pods may mount folders of the node by themselves."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of this machine at a path of a container."""

    path: str
    source: Path
    read_only: bool


def materialise(
    spec: Mapping[str, Any], fields: PodFields, objects: Objects, folder: Path, disk: Disk
) -> dict[str, Volume]:
    """Make the volumes of a pod.

    Args:
        spec: of the pod.
        fields: of the pod, for the downward API.
        objects: ConfigMaps, Secrets and claims of the namespace.
        folder: of the pod; gone with it.
        disk: what outlives pods.

    Returns:
        Each volume by its name.

    Raises:
        ManifestError: a volume of a kind that restricted Pod Security forbids, or of something that does not exist.
    """
    return {
        volume["name"]: _make(volume, spec, fields, objects, folder / volume["name"], disk)
        for volume in spec.get("volumes") or ()
    }


def mounts_of(
    container: Mapping[str, Any], volumes: Mapping[str, Volume], environment: Mapping[str, str]
) -> list[Mount]:
    """What a container sees of its pod's volumes. A folder named by a subPath is made.

    Raises:
        ManifestError: a mount of a volume that the pod has not.
    """
    mounts = []
    for mount in container.get("volumeMounts") or ():
        if mount["name"] not in volumes:
            raise ManifestError(f"container {container['name']} mounts {mount['name']}, which is no volume of its pod")
        volume = volumes[mount["name"]]
        source = volume.folder / expand(mount.get("subPathExpr") or mount.get("subPath", ""), environment)
        if not source.exists():
            source.mkdir(parents=True)
        mounts.append(Mount(mount["mountPath"], source, volume.read_only or bool(mount.get("readOnly"))))
    return mounts


def _make(
    volume: Mapping[str, Any],
    spec: Mapping[str, Any],
    fields: PodFields,
    objects: Objects,
    folder: Path,
    disk: Disk,
) -> Volume:
    (kind, source), *_ = ((key, value) for key, value in volume.items() if key != "name")
    source = source or {}
    if kind == "persistentVolumeClaim":
        claim = _claimed(objects.get("PersistentVolumeClaim", source["claimName"]), objects, disk)
        claim.mkdir(parents=True, exist_ok=True)
        return Volume(claim)
    if kind == "hostPath" and disk.host_paths:
        return Volume(_on_node(source, disk))
    folder.mkdir(parents=True)
    if kind in ("emptyDir", "ephemeral"):
        return Volume(folder)
    if kind not in READ_ONLY:
        raise ManifestError(f"pod {fields.name}: a volume of kind {kind} is not allowed by restricted Pod Security")
    for part in source["sources"] if kind == "projected" else ({kind: source},):
        for name, text in _files(part, spec, fields, objects).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return Volume(folder, read_only=True)


def _claimed(claim: Object, objects: Objects, disk: Disk) -> Path:
    """Folder of a claim: that of the volume that it names, else one of its own."""
    name = claim.get("spec", {}).get("volumeName")
    if not name:
        return disk.claims / claim["metadata"]["name"]
    return _on_node(objects.get("PersistentVolume", name)["spec"]["hostPath"], disk)


def _on_node(source: Mapping[str, Any], disk: Disk) -> Path:
    """Folder of the node that a hostPath names.

    Raises:
        ManifestError: it is not there, and is not to be made.
    """
    folder = disk.node / source["path"].lstrip("/")
    if source.get("type") == "DirectoryOrCreate":
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise ManifestError(f"hostPath {source['path']} is no folder of the node")
    return folder


def _files(part: Mapping[str, Any], spec: Mapping[str, Any], fields: PodFields, objects: Objects) -> dict[str, str]:
    """Text of each file that one source of a volume holds."""
    (kind, source), *_ = part.items()
    if kind == "serviceAccountToken":
        return {source["path"]: "no API server here"}
    if kind == "downwardAPI":
        return {item["path"]: _told(item, spec, fields) for item in source["items"]}
    values = data_of(kind, source, objects)
    if not source.get("items"):
        return values
    missing = [item["key"] for item in source["items"] if item["key"] not in values]
    if missing and not source.get("optional"):
        raise ManifestError(f"pod {fields.name}: {kind} {source} has no key {', '.join(missing)}")
    return {item["path"]: values[item["key"]] for item in source["items"] if item["key"] in values}


def _told(item: Mapping[str, Any], spec: Mapping[str, Any], fields: PodFields) -> str:
    if "fieldRef" in item:
        return fields.get(item["fieldRef"]["fieldPath"])
    reference = item["resourceFieldRef"]
    (container,) = (other for other in spec["containers"] if other["name"] == reference["containerName"])
    return str(resource(container, reference))

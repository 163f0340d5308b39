"""A volume for clusters without a default StorageClass: a folder of the node."""

from __future__ import annotations

from typing import Any

from tests.e2e.kube import Namespace

TOLERATIONS = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}]
"""The only node of a cluster may be its control plane."""


def has_default_class(namespace: Namespace) -> bool:
    """True if the cluster makes volumes by itself."""
    annotation = "storageclass.kubernetes.io/is-default-class"
    classes = namespace.get("storageclasses")
    return any((item["metadata"].get("annotations") or {}).get(annotation) == "true" for item in classes)


def persistent_volume(name: str, folder: str) -> dict[str, Any]:
    """A PersistentVolume in a folder of the node, which only the claim that names it gets."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
        },
    }


def on_the_node(name: str, image: str, parent: str, script: str) -> dict[str, Any]:
    """A pod that runs a script as root with a folder of the node at /node: a hostPath belongs to root."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "tolerations": TOLERATIONS,
            "containers": [
                {
                    "name": "script",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "node", "mountPath": "/node"}],
                }
            ],
            "volumes": [{"name": "node", "hostPath": {"path": parent, "type": "DirectoryOrCreate"}}],
        },
    }

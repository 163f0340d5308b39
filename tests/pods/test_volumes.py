from pathlib import Path
from typing import Any

import pytest

from tests.pods.manifests import ManifestError, Objects
from tests.pods.test_environment import FIELDS
from tests.pods.volumes import Disk, Volume, materialise, mounts_of

OBJECTS = Objects(
    [
        {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a.yaml": "a: 1", "b.yaml": "b: 2"}},
        {"kind": "PersistentVolumeClaim", "metadata": {"name": "store"}},
    ]
)


def disk(folder: Path) -> Disk:
    return Disk(folder / "claims", folder / "node")


def volumes(folder: Path, *declared: dict[str, Any]) -> dict[str, Volume]:
    return materialise({"volumes": list(declared)}, FIELDS, OBJECTS, folder / "pod", disk(folder))


def test_a_config_map_is_files_that_nobody_can_write(tmp_path: Path) -> None:
    found = volumes(
        tmp_path,
        {"name": "all", "configMap": {"name": "settings"}},
        {"name": "one", "configMap": {"name": "settings", "items": [{"key": "a.yaml", "path": "deep/run.yaml"}]}},
    )
    assert sorted(path.name for path in found["all"].folder.iterdir()) == ["a.yaml", "b.yaml"]
    assert (found["one"].folder / "deep/run.yaml").read_text() == "a: 1"
    assert found["all"].read_only


def test_a_claim_outlives_its_pods_and_an_empty_dir_does_not(tmp_path: Path) -> None:
    declared = (
        {"name": "store", "persistentVolumeClaim": {"claimName": "store"}},
        {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}},
    )
    first, second = (volumes(tmp_path / name, *declared) for name in ("first", "second"))
    assert first["cache"].folder != second["cache"].folder
    again = materialise({"volumes": declared}, FIELDS, OBJECTS, tmp_path / "third", disk(tmp_path / "first"))
    assert again["store"].folder == first["store"].folder


def test_the_downward_api_and_secrets_can_share_a_volume(tmp_path: Path) -> None:
    sources = [
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"configMap": {"name": "settings"}},
    ]
    found = volumes(tmp_path, {"name": "both", "projected": {"sources": sources}})
    assert (found["both"].folder / "name").read_text() == "pod-1"
    assert (found["both"].folder / "b.yaml").exists()


@pytest.mark.parametrize(
    ("volume", "problem"),
    [
        ({"hostPath": {"path": "/"}}, "kind hostPath is not allowed"),
        ({"persistentVolumeClaim": {"claimName": "absent"}}, "PersistentVolumeClaim absent does not exist"),
        ({"secret": {"secretName": "absent"}}, "secret absent does not exist"),
        ({"configMap": {"name": "settings", "items": [{"key": "c", "path": "c"}]}}, "has no key c"),
    ],
)
def test_a_volume_of_nothing_is_an_error(tmp_path: Path, volume: dict[str, Any], problem: str) -> None:
    with pytest.raises(ManifestError, match=problem):
        volumes(tmp_path, {"name": "v", **volume})


def test_a_mount_shows_a_volume_or_a_part_of_it(tmp_path: Path) -> None:
    found = volumes(tmp_path, {"name": "c", "configMap": {"name": "settings"}}, {"name": "e", "emptyDir": {}})
    container = {
        "name": "x",
        "volumeMounts": [
            {"name": "c", "mountPath": "/etc/run.yaml", "subPath": "a.yaml"},
            {"name": "e", "mountPath": "/cache", "subPathExpr": "$(POD)"},
        ],
    }
    file, folder = mounts_of(container, found, {"POD": "pod-1"})
    assert (file.source.read_text(), file.read_only) == ("a: 1", True)
    assert (folder.source.name, folder.read_only) == ("pod-1", False)
    with pytest.raises(ManifestError, match="mounts other, which is no volume"):
        mounts_of({"name": "x", "volumeMounts": [{"name": "other", "mountPath": "/o"}]}, found, {})

"""What tests/e2e installs on a real cluster, as far as it can be seen without one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ance.runtime.contracts import RunConfig
from tests.e2e import test_release
from tests.e2e.test_release import LAST_STEP, NODE_FOLDER, VALUES, cluster_values
from tests.e2e.volume import on_the_node, persistent_volume
from tests.helm.chart import Object, containers, main_container, of_kind, pods, render
from tests.helm.restricted import violations
from tests.helm.schemas import schema_errors

IMAGE = "localhost/ance:0.1.0-cpu"
STORAGE = {"volumeName": "ance-e2e", "storageClassName": ""}
FACTORS = {"m": 1e-3, "Mi": 2.0**20, "Gi": 2.0**30, "": 1.0}
SURGE = 1
"""Pods of search beyond its replicas while it is rolled out."""


@pytest.fixture
def release() -> list[Object]:
    return render(*VALUES, values=cluster_values(IMAGE, STORAGE))


def quantity(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * FACTORS[unit]


def test_every_container_runs_the_image_that_was_given(release: list[Object]) -> None:
    images = {container["image"] for pod in pods(release).values() for container in containers(pod)}
    assert images == {IMAGE}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ance:1-cpu", ("", "ance", "1-cpu")),
        ("localhost/ance:1", ("localhost", "ance", "1")),
        ("registry.example:5000/team/ance:1", ("registry.example:5000", "team/ance", "1")),
        ("team/ance:1", ("", "team/ance", "1")),
    ],
)
def test_an_image_s_name_is_taken_apart_as_a_container_runtime_does(image: str, parts: tuple[str, ...]) -> None:
    assert tuple(test_release.image_values(image).values()) == parts
    assert main_container(pods(render(*VALUES, values=cluster_values(image, {})))["trainer"])["image"] == image


def test_the_run_is_long_enough_to_lose_three_pods_and_ends_where_the_test_waits_for(release: list[Object]) -> None:
    config = RunConfig.parse(of_kind(release, "ConfigMap")["ance-run"]["data"]["run.yaml"], "run.yaml")
    assert config.training.total_steps == LAST_STEP
    # The gap lets a refresh take so many steps at most; three newer indexes are waited for, after the searcher's first.
    assert config.training.max_async_gap > 0
    assert LAST_STEP - config.training.warmup.steps >= 5 * config.training.max_async_gap


@pytest.mark.parametrize(("resource", "limit"), [("cpu", 0.8), ("memory", 5 * 2.0**30)])
def test_it_fits_beside_the_control_plane_of_a_node_with_2_cores_and_8_gib(
    release: list[Object], resource: str, limit: float
) -> None:
    replicas: dict[str, Any] = {
        item["metadata"]["labels"]["app.kubernetes.io/component"]: item["spec"].get("replicas", 1)
        for item in (*of_kind(release, "Deployment").values(), *of_kind(release, "StatefulSet").values())
    }
    replicas["search-api"] += SURGE
    asked = sum(
        replicas.get(component, 1) * max(quantity(one["resources"]["requests"][resource]) for one in containers(pod))
        for component, pod in pods(release).items()
    )
    assert asked <= limit


def test_its_claim_takes_the_volume_in_the_node_s_folder(release: list[Object]) -> None:
    (claim,) = of_kind(release, "PersistentVolumeClaim").values()
    volume = persistent_volume(STORAGE["volumeName"], f"{NODE_FOLDER}/{STORAGE['volumeName']}")
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"] == ""
    assert claim["spec"]["accessModes"] == volume["spec"]["accessModes"]
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) <= quantity(
        volume["spec"]["capacity"]["storage"]
    )
    assert "helm.sh/resource-policy" not in claim["metadata"].get("annotations", {})


def test_what_the_test_makes_itself_is_valid(release: list[Object]) -> None:
    made = [
        persistent_volume("volume", f"{NODE_FOLDER}/volume"),
        on_the_node("make-folder", IMAGE, NODE_FOLDER, "true"),
        test_release.searcher(IMAGE),
    ]
    for item in (*made, *release):
        assert schema_errors(item, "1.33") == []
    assert violations(test_release.searcher(IMAGE)) == []

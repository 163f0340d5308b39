"""Where pods run, and how they are replaced: every value reaches the pod that it is for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import (
    COMPONENTS,
    CPU,
    OVERLAYS,
    RUN,
    SERVICES,
    Object,
    containers,
    environment,
    main_container,
    of_kind,
    pods,
    render,
)


def scheduling(key: str) -> dict[str, Any]:
    """A value for everything that says where pods run, different for each component."""
    expression = {"key": "pool", "operator": "In", "values": [key]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {
        "nodeSelector": {"pool": key},
        "tolerations": [{"key": key, "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 2,
                "topologyKey": key,
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {}},
            }
        ],
        "priorityClassName": f"priority-{key.lower()}",
        "runtimeClassName": f"runtime-{key.lower()}",
        "schedulerName": f"scheduler-{key.lower()}",
        "resourceClaims": [{"name": key.lower(), "resourceClaimTemplateName": "template"}],
    }


def extras(key: str) -> dict[str, Any]:
    """A value for everything else that a user may add to a pod."""
    name = key.lower()
    return {
        "terminationGracePeriodSeconds": 77,
        "podAnnotations": {"example.org/annotation": key},
        "podLabels": {"example.org/label": key},
        "annotations": {"example.org/owner": key},
        "extraEnv": [{"name": "EXTRA", "value": key}],
        "extraEnvFrom": [{"secretRef": {"name": f"env-{name}"}}],
        "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        "initContainers": [{"name": "before", "image": "example"}],
        "sidecars": [{"name": "beside", "image": "example"}],
        "serviceAccount": {"annotations": {"example.org/role": key}},
    }


PLACES = {key: scheduling(key) for key in COMPONENTS}
EXTRAS = {key: extras(key) for key in COMPONENTS}


@pytest.fixture(scope="module")
def placed() -> dict[str, Object]:
    return pods(render(CPU, values=PLACES))


@pytest.mark.parametrize("key", COMPONENTS)
@pytest.mark.parametrize("name", scheduling("x"))
def test_every_scheduling_value_of_every_component_reaches_its_pod(
    key: str, name: str, placed: dict[str, Object]
) -> None:
    assert placed[COMPONENTS[key]]["spec"][name] == PLACES[key][name]


@pytest.mark.parametrize("key", COMPONENTS)
def test_whatever_a_user_adds_reaches_the_pod(key: str) -> None:
    objects = render(CPU, values=EXTRAS)
    pod, added = pods(objects)[COMPONENTS[key]], EXTRAS[key]
    container = main_container(pod)

    assert pod["spec"]["terminationGracePeriodSeconds"] == 77
    assert pod["metadata"]["annotations"]["example.org/annotation"] == key
    assert pod["metadata"]["labels"]["example.org/label"] == key
    assert environment(container)["EXTRA"] == key
    assert added["extraEnvFrom"][0] in container["envFrom"]
    assert added["extraVolumes"][0] in pod["spec"]["volumes"]
    assert added["extraVolumeMounts"][0] in container["volumeMounts"]
    assert pod["spec"]["initContainers"][0]["name"] == "before"
    assert pod["spec"]["containers"][-1]["name"] == "beside"
    account = of_kind(objects, "ServiceAccount")[pod["spec"]["serviceAccountName"]]
    assert account["metadata"]["annotations"] == {"example.org/role": key}
    assert {"example.org/owner": key} in [item["metadata"].get("annotations") for item in objects]


def test_resources_and_images_are_the_component_s_own() -> None:
    image = {"registry": "registry.example", "repository": "mine", "tag": "7"}
    changes = {key: {"image": image, "resources": {"limits": {"cpu": 3}}} for key in COMPONENTS}
    found = pods(render(CPU, values=changes))
    for key, component in COMPONENTS.items():
        for container in containers(found[component]):
            assert container["image"] == "registry.example/mine:7", key
            assert container["resources"]["limits"]["cpu"] == 3


@pytest.mark.parametrize("key", ["trainer", "inferencer"])
def test_a_gpu_is_a_limit_and_its_usual_taint_is_tolerated(key: str) -> None:
    pod = pods(render(RUN, values={key: {"tolerations": [{"key": "sku", "operator": "Exists"}]}}))[key]
    assert main_container(pod)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert [one["key"] for one in pod["spec"]["tolerations"]] == ["sku", "nvidia.com/gpu"]
    assert environment(main_container(pod))["ANCE_DEVICE"] == "cuda"
    assert main_container(pod)["image"] == "ance:0.1.0-gpu"


def test_a_mig_slice_is_asked_for_by_its_own_name() -> None:
    found = pods(render(*OVERLAYS["mig"]))
    limits = main_container(found["inferencer"])["resources"]["limits"]
    assert limits["nvidia.com/mig-1g.10gb"] == 1
    assert "nvidia.com/gpu" not in limits


@pytest.mark.parametrize("key", SERVICES)
def test_without_gpus_a_pod_is_on_the_cpu_and_has_the_cpu_image(key: str) -> None:
    container = main_container(pods(render(CPU))[SERVICES[key]])
    assert environment(container)["ANCE_DEVICE"] == "cpu"
    assert container["image"] == "ance:0.1.0-cpu"


def test_a_rollout_of_gpu_pods_never_needs_a_spare_gpu() -> None:
    deployments = of_kind(render(RUN, values={"searchApi": {"gpu": {"count": 1}}}), "Deployment")
    none_more = {"maxSurge": 0, "maxUnavailable": 1}
    assert deployments["ance-inferencer"]["spec"]["strategy"]["rollingUpdate"] == none_more
    assert deployments["ance-search-api"]["spec"]["strategy"]["rollingUpdate"] == none_more
    assert deployments["ance-indexer"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert all(item["spec"]["progressDeadlineSeconds"] == 1800 for item in deployments.values())


def test_a_strategy_of_the_user_s_wins() -> None:
    objects = render(RUN, values={"inferencer": {"strategy": {"type": "Recreate"}}})
    assert of_kind(objects, "Deployment")["ance-inferencer"]["spec"]["strategy"] == {"type": "Recreate"}


def test_search_and_inferencers_spread_softly_over_zones_and_nodes() -> None:
    found = pods(render(RUN))
    for component in ("search-api", "inferencer"):
        constraints = found[component]["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for one in constraints:
            assert one["whenUnsatisfiable"] == "ScheduleAnyway"
            assert one["labelSelector"]["matchLabels"].items() <= found[component]["metadata"]["labels"].items()


def test_pods_that_share_a_volume_of_one_node_are_kept_on_it() -> None:
    found = pods(render(CPU))
    for component, pod in found.items():
        if component in ("redis", "test"):
            assert "affinity" not in pod["spec"]
            continue
        (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
    assert all("affinity" not in pod["spec"] for pod in pods(render(RUN)).values())


def test_kueue_admits_what_names_a_queue() -> None:
    objects = render(RUN, values={key: {"queueName": "gpus"} for key in (*SERVICES, "prepare")})
    queued = [item["kind"] for item in objects if "kueue.x-k8s.io/queue-name" in item["metadata"]["labels"]]
    assert sorted(queued) == ["Deployment", "Deployment", "Deployment", "Job", "Job"]


def test_the_trainer_s_shared_memory_is_a_bounded_volume() -> None:
    pod = pods(render(RUN))["trainer"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod["spec"]["volumes"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in main_container(pod)["volumeMounts"]


def test_threads_follow_the_cpu_limit_unless_they_are_given() -> None:
    found = pods(render(RUN, values={"indexer": {"threads": 3}}))
    reference = environment(main_container(found["inferencer"]))["ANCE_THREADS"]["resourceFieldRef"]
    assert reference == {"containerName": "inferencer", "resource": "limits.cpu", "divisor": "1"}
    assert environment(main_container(found["indexer"]))["ANCE_THREADS"] == "3"


def test_the_cache_is_on_the_node_or_on_a_volume_of_the_pod_s_own() -> None:
    values = {"searchApi": {"cache": {"sizeLimit": "300Gi", "storageClassName": "fast"}}}
    found = pods(render(RUN, values=values))

    def cache(component: str) -> Object:
        (volume,) = [one for one in found[component]["spec"]["volumes"] if one["name"] == "cache"]
        return volume

    claim = cache("search-api")["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "300Gi")
    assert cache("indexer")["emptyDir"] == {"sizeLimit": "60Gi"}

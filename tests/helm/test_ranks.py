"""Several processes train together: how their pods are started, and how they find each other."""

from __future__ import annotations

from typing import Any

import pytest

from services.trainer.launch import LaunchSettings
from services.trainer.settings import TrainerSettings
from tests.helm.chart import RUN, Object, environment, main_container, of_kind, pods, render
from tests.helm.restricted import violations
from tests.helm.schemas import schema_errors

KINDS = pytest.mark.parametrize("kind", ["Job", "StatefulSet"])
ALONE = ["python", "-m", "services.trainer"]
LAUNCHER = ["python", "-m", "services.trainer.launch"]


def objects(**trainer: Any) -> list[Object]:
    return render(RUN, values={"networkPolicy": {"enabled": True}, "trainer": trainer})


def workload(found: list[Object], kind: str) -> Object:
    (one,) = [item for name, item in of_kind(found, kind).items() if name.startswith("ance-trainer")]
    return one


def trainer(found: list[Object]) -> tuple[list[str], dict[str, Any]]:
    """Command and environment of the trainer's container."""
    container = main_container(pods(found)["trainer"])
    return container["command"], environment(container)


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_process_needs_no_launcher_and_no_one_to_find(gpus: int) -> None:
    found = objects(gpu={"count": gpus})
    command, environ = trainer(found)
    assert command == ALONE
    assert not environ.keys() & {"ANCE_PROCESSES", "ANCE_NODES", "ANCE_MASTER_ADDR"}
    assert "ance-trainer-ranks" not in of_kind(found, "Service")
    assert "completionMode" not in workload(found, "Job")["spec"]


def test_several_gpus_of_a_pod_get_a_process_each() -> None:
    found = objects(gpu={"count": 4})
    command, environ = trainer(found)
    assert command == LAUNCHER and environ["ANCE_PROCESSES"] == "4" and "ANCE_NODES" not in environ
    assert main_container(pods(found)["trainer"])["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert "ance-trainer-ranks" not in of_kind(found, "Service")


def test_the_pods_of_a_job_are_told_their_number_and_find_the_first_by_its_host_name() -> None:
    found = objects(nodes=2, gpu={"count": 8})
    job = workload(found, "Job")
    spec, name = job["spec"], job["metadata"]["name"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 2, 2)
    assert "backoffLimitPerIndex" not in spec
    command, environ = trainer(found)
    assert command == LAUNCHER
    assert (environ["ANCE_PROCESSES"], environ["ANCE_NODES"]) == ("8", "2")
    field = environ["ANCE_NODE_RANK"]["fieldRef"]["fieldPath"]
    assert field == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert environ["ANCE_MASTER_ADDR"] == f"{name}-0.{spec['template']['spec']['subdomain']}"


def test_the_pods_of_a_stateful_set_start_at_once_and_find_the_first_by_its_name() -> None:
    found = objects(nodes=2, kind="StatefulSet")
    spec = workload(found, "StatefulSet")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (2, "Parallel")
    _, environ = trainer(found)
    assert environ["ANCE_MASTER_ADDR"] == f"ance-trainer-0.{spec['serviceName']}"
    assert environ["ANCE_NODE_RANK"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert "ANCE_PROCESSES" not in environ and environ["ANCE_NODES"] == "2"


@KINDS
def test_what_the_launcher_is_told_it_knows(kind: str) -> None:
    _, environ = trainer(objects(nodes=2, gpu={"count": 2}, kind=kind))
    names = {name.removeprefix("ANCE_").lower() for name in environ if name.startswith("ANCE_")}
    assert names <= LaunchSettings.model_fields.keys() | TrainerSettings.model_fields.keys()
    assert names >= {"processes", "nodes", "node_rank", "master_addr", "grace_seconds"}


@KINDS
def test_they_find_each_other_before_they_are_ready(kind: str) -> None:
    found = objects(nodes=2, kind=kind)
    service = of_kind(found, "Service")[pods(found)["trainer"]["spec"]["subdomain"]]["spec"]
    assert service["clusterIP"] == "None" and service["publishNotReadyAddresses"]
    assert service["selector"].items() <= pods(found)["trainer"]["metadata"]["labels"].items()
    (port,) = service["ports"]
    assert port["port"] == LaunchSettings.model_fields["master_port"].default


@KINDS
def test_the_feed_is_that_of_the_first_pod(kind: str) -> None:
    labels = {"Job": "batch.kubernetes.io/job-completion-index", "StatefulSet": "apps.kubernetes.io/pod-index"}
    selector = of_kind(objects(nodes=2, kind=kind), "Service")["ance-trainer"]["spec"]["selector"]
    assert selector[labels[kind]] == "0"
    assert not labels.values() & of_kind(objects(kind=kind), "Service")["ance-trainer"]["spec"]["selector"].keys()


def test_they_may_talk_to_each_other_by_any_port_and_a_single_one_to_nobody_more() -> None:
    def peers(found: list[Object], rules: str, peer: str) -> list[Object]:
        policy = of_kind(found, "NetworkPolicy")["ance-trainer"]["spec"]
        return [rule for rule in policy[rules] if "ports" not in rule and rule[peer]]

    for rules, peer in (("ingress", "from"), ("egress", "to")):
        (rule,) = peers(objects(nodes=2), rules, peer)
        (selected,) = rule[peer]
        assert selected["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "trainer"
        assert not peers(objects(), rules, peer)


@KINDS
@pytest.mark.parametrize("version", ["1.28", "1.33", "1.37"])
def test_the_api_server_and_a_restricted_namespace_take_them(kind: str, version: str) -> None:
    values = {"networkPolicy": {"enabled": True}, "trainer": {"nodes": 2, "gpu": {"count": 2}, "kind": kind}}
    found = render(RUN, values=values, kube=f"{version}.0")
    assert not [error for item in found for error in schema_errors(item, version)]
    assert not violations(pods(found)["trainer"])


def test_the_first_pod_s_name_fits_a_host_name_however_long_the_release_s_is() -> None:
    found = render(
        RUN,
        values={"trainer": {"nodes": 1000}, "run": {"config": {"training": {"batch_size": 1000}}}},
        release="r" * 53,
    )
    (name,) = [name for name in of_kind(found, "Job") if "-trainer-" in name]
    assert len(f"{name}-999") <= 63
    assert all(len(name) <= 63 for name in of_kind(found, "Service"))

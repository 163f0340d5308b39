"""The Jobs: what changes them changes their name, and they know a mistake from a disruption."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ance.runtime.contracts import RunConfig
from tests.helm.chart import CPU, RUN, Object, containers, environment, main_container, of_kind, pods, render


def job(component: str, values: dict[str, Any] | None = None) -> Object:
    jobs = of_kind(render(RUN, values=values), "Job")
    (found,) = [item for name, item in jobs.items() if name.startswith(f"ance-{component}-")]
    return found


@pytest.mark.parametrize("component", ["trainer", "prepare"])
@pytest.mark.parametrize(
    "change",
    [
        {"image": {"tag": "2", "gpuTag": "2"}},
        {"run": {"config": {"training": {"seed": 1}}}},
        {"run": {"id": "other"}},
        {"logLevel": "DEBUG"},
        {"commonLabels": {"team": "search"}},
    ],
    ids=str,
)
def test_a_job_whose_pods_change_is_another_job(component: str, change: dict[str, Any]) -> None:
    assert job(component)["metadata"]["name"] != job(component, change)["metadata"]["name"]


@pytest.mark.parametrize("component", ["trainer", "prepare"])
@pytest.mark.parametrize(
    "change",
    [{"searchApi": {"replicas": 5}}, {component: {"job": {"backoffLimit": 1}} for component in ("trainer", "prepare")}],
    ids=str,
)
def test_a_job_whose_pods_stay_keeps_its_name(component: str, change: dict[str, Any]) -> None:
    before, after = job(component), job(component, change)
    assert before["metadata"]["name"] == after["metadata"]["name"]
    assert before["spec"]["template"] == after["spec"]["template"]
    assert before["spec"]["podFailurePolicy"] == after["spec"]["podFailurePolicy"]


@pytest.mark.parametrize("component", ["trainer", "prepare"])
def test_mistakes_end_a_job_and_disruptions_do_not_count(component: str) -> None:
    spec = job(component)["spec"]
    mistake, disruption, interruption = spec["podFailurePolicy"]["rules"]
    assert (mistake["action"], mistake["onExitCodes"]["values"]) == ("FailJob", [2])
    assert (disruption["action"], disruption["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (interruption["action"], interruption["onExitCodes"]["values"]) == ("Ignore", [143])
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["ttlSecondsAfterFinished"] > 0


def test_the_run_is_the_user_s_configuration_with_the_ids_of_the_chart() -> None:
    text = of_kind(render(RUN), "ConfigMap")["ance-run"]["data"]["run.yaml"]
    config = RunConfig.parse(text, "run.yaml")
    given = yaml.safe_load(RUN.read_text())["run"]["config"]
    assert config == RunConfig.model_validate({**given, "run": "passages", "dataset": "msmarco-passage"})


def test_large_and_small_numbers_of_a_configuration_stay_what_they_are() -> None:
    training = {"seed": 3_000_000_000, "ance": {"learning_rate": 1e-7, "steps": 12_000_000}}
    objects = render(RUN, values={"run": {"config": {"training": training}}})
    config = RunConfig.parse(of_kind(objects, "ConfigMap")["ance-run"]["data"]["run.yaml"], "run.yaml")
    assert config.training.seed == 3_000_000_000
    assert config.training.ance.learning_rate == 1e-7
    assert config.training.ance.steps == 12_000_000


def test_the_cpu_overlay_s_run_is_valid() -> None:
    config = RunConfig.parse(of_kind(render(CPU), "ConfigMap")["ance-run"]["data"]["run.yaml"], "run.yaml")
    assert config.model.name_or_path == "minilm"
    assert config.training.ance.steps > 0


def test_the_data_set_is_prepared_before_the_run_is_created() -> None:
    pod = pods(render(RUN, values={"run": {"dataset": {"skipInvalid": True}}}))["prepare"]
    dataset, run = containers(pod)
    assert pod["spec"]["initContainers"] == [dataset]
    assert dataset["command"] == ["ance", "prepare"]
    assert dataset["args"] == [
        "--dataset=ir_datasets:msmarco-passage",
        "--name=msmarco-passage",
        "--store=s3://bucket/ance",
        "--model=FacebookAI/roberta-base",
        "--max-tokens=512",
        "--if-missing",
        "--skip-invalid",
    ]
    assert run["command"] == ["ance", "runs", "create"]
    assert run["args"] == ["--config=/etc/ance/run/run.yaml", "--store=s3://bucket/ance"]


def test_the_options_of_the_prepare_job_are_options_of_the_command() -> None:
    from typer.main import get_command

    from ance.cli.main import app

    dataset, run = containers(pods(render(RUN, values={"run": {"dataset": {"skipInvalid": True}}}))["prepare"])
    for container in (dataset, run):
        command: Any = get_command(app)
        for word in container["command"][1:]:
            command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument.partition("=")[0] for argument in container["args"]} <= known


def test_events_are_about_the_job_that_the_trainer_is_in_and_it_may_look_it_up() -> None:
    objects = render(RUN)
    (name,) = [name for name in of_kind(objects, "Job") if "trainer" in name]
    assert environment(main_container(pods(objects)["trainer"]))["ANCE_EVENT_OBJECT"] == f"Job/{name}"
    rules = of_kind(objects, "Role")["ance-trainer"]["rules"]
    assert {"apiGroups": ["batch"], "resources": ["jobs"], "resourceNames": [name], "verbs": ["get"]} in rules


def test_a_trainer_in_a_stateful_set_waits_when_it_is_done() -> None:
    objects = render(RUN, values={"trainer": {"kind": "StatefulSet"}})
    assert not [name for name in of_kind(objects, "Job") if "trainer" in name]
    assert of_kind(objects, "StatefulSet")["ance-trainer"]["spec"]["serviceName"] in of_kind(objects, "Service")
    assert environment(main_container(pods(objects)["trainer"]))["ANCE_ON_COMPLETE"] == "wait"
    assert environment(main_container(pods(render(RUN))["trainer"]))["ANCE_ON_COMPLETE"] == "exit"

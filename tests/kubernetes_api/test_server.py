"""The server answers kubectl as a real one would."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes_api.fixtures import api
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.selectors import selected
from tests.kubernetes_api.server import KubernetesApi
from tools.helm_binary import ToolNotFound, find

__all__ = ["api"]

JOB: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "train", "labels": {"app": "train"}},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "one"}]}}},
}
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "idle"},
    "spec": {"containers": [{"name": "main", "image": "one"}]},
}
Kubectl = Callable[..., str]


class Failed(Exception):
    """What kubectl wrote to stderr."""


@pytest.fixture
def kubectl(api: KubernetesApi, tmp_path: Path) -> Kubectl:
    try:
        binary = find("kubectl")
    except ToolNotFound as error:
        pytest.skip(str(error))
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(api.kubeconfig(tmp_path))}

    def run(*arguments: str, item: Any = None) -> str:
        command = [str(binary), *arguments]
        text = json.dumps(item)
        done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(done.stderr)
        return done.stdout

    return run


def with_image(image: str) -> Object:
    changed: Object = json.loads(json.dumps(JOB))
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return changed


def test_objects_are_applied_listed_by_label_and_deleted(api: KubernetesApi, kubectl: Kubectl) -> None:
    kubectl("apply", "--filename", "-", item=JOB)
    assert kubectl("get", "jobs", "--selector", "app in (train, serve)", "--output", "name") == "job.batch/train\n"
    assert kubectl("get", "jobs", "--selector", "app!=train", "--output", "name") == ""
    kubectl("delete", "job", "train")
    assert api.objects.list("jobs") == []


def test_the_pods_of_a_job_cannot_be_changed(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "--filename", "-", item=JOB)
    with pytest.raises(Failed, match=r"spec\.template: field is immutable"):
        kubectl("apply", "--server-side", "--filename", "-", item=with_image("two"))


def test_a_field_that_no_schema_knows_is_refused(kubectl: Kubectl) -> None:
    mistaken = JOB | {"spec": JOB["spec"] | {"bakoffLimit": 1}}
    with pytest.raises(Failed, match="bakoffLimit"):
        kubectl("apply", "--server-side", "--filename", "-", item=mistaken)


def test_a_watch_tells_of_every_change_after_the_version_it_was_asked_for(api: KubernetesApi, kubectl: Kubectl) -> None:
    place = Resource("batch/v1", "default", "jobs", "train")
    api.objects.create(place, json.loads(json.dumps(JOB)))
    done = threading.Timer(0.5, lambda: api.objects.set_status(place, {"conditions": [_complete()]}))
    done.start()
    kubectl("wait", "--for=condition=complete", "job/train", "--timeout=20s")
    done.join()


def test_without_a_node_no_pod_has_a_log(kubectl: Kubectl) -> None:
    kubectl("apply", "--filename", "-", item=POD)
    with pytest.raises(Failed, match="pod idle runs on no node"):
        kubectl("logs", "idle")


def test_selectors_name_labels_values_and_sets() -> None:
    item = {"metadata": {"name": "x", "labels": {"a": "1"}}}
    for labels in ("a", "a=1", "a==1", "a!=2", "!b", "a in (1, 2)", "a notin (2,3),a=1"):
        assert selected(item, labels), labels
    for labels in ("b", "a=2", "a!=1", "!a", "a notin (1)", "a=1,b=1"):
        assert not selected(item, labels), labels
    assert selected(item, fields="metadata.name=x")
    assert not selected(item, fields="metadata.name=y")
    with pytest.raises(Refusal):
        selected(item, fields="spec.nodeName=here")


def _complete() -> Object:
    return {"type": "Complete", "status": "True"}

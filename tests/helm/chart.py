"""The chart as `helm template` renders it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.helm_binary import find

CHART = Path(__file__).resolve().parents[2] / "helm" / "ance"
RUN = Path(__file__).with_name("run-values.yaml")
CPU = CHART / "values-cpu.yaml"
OVERLAYS = {
    "cpu": (CPU,),
    "kind": (CPU, CHART / "values-kind.yaml"),
    "gpu": (RUN,),
    "gke": (RUN, CHART / "values-gke.yaml"),
    "eks": (RUN, CHART / "values-eks.yaml"),
    "aks": (RUN, CHART / "values-aks.yaml"),
    "mig": (RUN, CHART / "values-mig.yaml"),
}
"""Every way to combine the values files of the chart."""
EVERYTHING = {
    "assumeApis": True,
    "kubernetes": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "trainer": {"kind": "StatefulSet", "queueName": "gpus"},
    "inferencer": {
        "autoscaling": {"mode": "keda", "max": 4, "keda": {"fallback": {"failureThreshold": 3, "replicas": 1}}}
    },
    "searchApi": {
        "autoscaling": {"enabled": True},
        "auth": {"existingSecret": "api-keys"},
        "ingress": {"enabled": True, "host": "search.example.org"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    },
    "redis": {"tls": {"enabled": True, "existingSecret": "redis-tls"}, "persistence": {"enabled": True}},
    "feed": {"tls": {"enabled": True, "existingSecret": "feed-tls", "clientCertificate": True}},
    "monitoring": {
        name: {"enabled": True} for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards")
    },
    "otel": {"endpoint": "http://collector:4318", "headersSecret": "otel"},
    "tests": {"apiKey": {"existingSecret": "test-key"}},
    "huggingFace": {"existingSecret": "hugging-face"},
}
"""Values that switch on what is off by default."""
SERVICES = {"trainer": "trainer", "inferencer": "inferencer", "indexer": "indexer", "searchApi": "search-api"}
"""Key in values.yaml -> name of the component, of the services that we write."""
COMPONENTS = {**SERVICES, "prepare": "prepare", "redis": "redis"}
"""The same for everything that has pods of its own."""

Object = dict[str, Any]


class Refused(Exception):
    """helm did not render the chart; the message is helm's."""


def render(*files: Path, values: Object | None = None, **options: Any) -> list[Object]:
    """Render the chart. The result is shared between tests: do not change it.

    Args:
        files: values files, the last wins.
        values: settings that win over the files.
        options: of `render_text`.

    Raises:
        Refused: the values are wrong.
    """
    return _parse(render_text(*files, values=values, **options))


def render_text(
    *files: Path,
    values: Object | None = None,
    release: str = "ance",
    namespace: str = "default",
    kube: str = "1.33.0",
    chart: Path = CHART,
    helm: Path | None = None,
    arguments: Sequence[str] = (),
) -> str:
    """What `helm template` prints.

    Args:
        kube: version of Kubernetes to render for.
        chart: folder of the chart.
        helm: the binary (None: the newest).
        arguments: more arguments for helm.

    Raises:
        Refused: the values are wrong.
    """
    words = [*(str(path) for path in files), json.dumps(values or {}, sort_keys=True)]
    return _template(str(helm or find("helm")), str(chart), release, namespace, kube, tuple(words), tuple(arguments))


@cache
def _template(
    helm: str, chart: str, release: str, namespace: str, kube: str, values: tuple[str, ...], arguments: tuple[str, ...]
) -> str:
    *files, settings = values
    command = [helm, "template", release, chart, "--namespace", namespace, "--kube-version", kube, *arguments]
    for path in (*files, "-"):
        command += ["--values", path]
    finished = subprocess.run(command, input=settings, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise Refused(finished.stderr)
    return finished.stdout


@cache
def _parse(text: str) -> list[Object]:
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def pod_template(item: Object) -> Object | None:
    """The pod that an object makes, or is; None where it makes none."""
    if item["kind"] == "Pod":
        return item
    template = item.get("spec", {}).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


def pods(objects: Sequence[Object]) -> dict[str, Object]:
    """Component -> the template of its pods (`test` is the test's)."""
    found = {}
    for item in objects:
        if template := pod_template(item):
            found[item["metadata"]["labels"]["app.kubernetes.io/component"]] = template
    return found


def containers(pod: Object) -> list[Object]:
    """Init containers and containers of a pod."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def main_container(pod: Object) -> Object:
    """The container that does the pod's work: the first one."""
    container: Object = pod["spec"]["containers"][0]
    return container


def environment(container: Object) -> dict[str, Any]:
    """Variable -> its value, or the map that says where it comes from. The last one of a name wins, as in a pod."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", ())}


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Name -> object, of one kind."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}

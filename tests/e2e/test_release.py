"""A release on the cluster that KUBECONFIG names, from install to uninstall, with searches that must never fail.

    make e2e IMAGE=ance:0.1.0-cpu

The image must be on the nodes or in a registry they reach. E2E_REDIS_IMAGE names another image for Redis; our own has
one. E2E_VOLUME=node puts the store into a folder of the node although the cluster has a default StorageClass.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kube import Namespace
from tests.e2e.volume import TOLERATIONS, has_default_class, on_the_node, persistent_volume

pytestmark = [
    pytest.mark.timeout(1200),  # clean-up included
    pytest.mark.skipif(
        not (os.environ.get("E2E_IMAGE") and os.environ.get("KUBECONFIG")),
        reason="needs a cluster: set KUBECONFIG and E2E_IMAGE (make e2e IMAGE=...)",
    ),
]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "ance"
VALUES = (CHART / "values-cpu.yaml", Path(__file__).with_name("values-e2e.yaml"))
NODE_FOLDER = "/var/tmp"
RELEASE = "ance"
SECONDS = 840.0
"""From the namespace to the last look; cleaning up comes after it."""
LAST_STEP = 220
"""Of the run in these values: its warm-up and its stage of ANCE."""
QUERY = "sort a list"
LOST = ("trainer", "indexer", "inferencer")
"""Components of which a pod is lost, the one that is the first to finish first."""


@pytest.fixture
def image() -> str:
    image = os.environ["E2E_IMAGE"]
    assert ":" in image.rpartition("/")[2], f"E2E_IMAGE={image} has no tag, e.g. {image}:0.1.0-cpu"
    return image


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with created(f"ance-e2e-{secrets.token_hex(3)}", "restricted") as namespace:
        yield namespace


@pytest.fixture
def storage(namespace: Namespace, image: str) -> Iterator[dict[str, Any]]:
    """Values of the claim: the cluster's default class, else a folder of the node that is removed at the end."""
    if has_default_class(namespace) and os.environ.get("E2E_VOLUME") != "node":
        yield {}
        return
    name = namespace.name
    # Only root may make the folder, which the release's own namespace does not allow.
    with created(f"{name}-node", "privileged") as node:
        run_on_node(node, image, "make-folder", f"mkdir -p /node/{name} && chmod 0777 /node/{name}")
        namespace.apply(persistent_volume(name, f"{NODE_FOLDER}/{name}"))
        try:
            yield {"volumeName": name, "storageClassName": ""}
        finally:
            # After a failure the release still writes into the folder, and its claim holds the volume.
            remove(namespace)
            namespace.kubectl("delete", "persistentvolume", name, "--timeout", "60s")
            run_on_node(node, image, "remove-folder", f"rm -rf /node/{name}")


def test_searches_never_fail_from_the_first_index_to_the_last(
    namespace: Namespace, storage: dict[str, Any], image: str, tmp_path: Path
) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps(cluster_values(image, storage)))
    install(namespace, values)

    namespace.until(lambda: namespace.job_succeeded("prepare"), "data set and run")
    namespace.until(lambda: namespace.ready("inferencer") == 2, "two inferencers")
    namespace.until(lambda: namespace.ready("search-api") == 2, "two search replicas with an index")
    start_searching(namespace, image)

    for component in LOST:
        version = searches(namespace)["version"]
        namespace.until(lambda version=version: searches(namespace)["version"] > version, "a newer index")  # type: ignore[misc]
        crash(namespace, component)
    before = names(namespace, "search-api")
    install(namespace, values, "--set", "searchApi.podAnnotations.release=second")
    namespace.until(
        lambda: namespace.ready("search-api") == 2 and not names(namespace, "search-api") & before,
        "two new search replicas",
    )
    namespace.until(lambda: namespace.job_succeeded("trainer"), "the end of training")
    namespace.until(lambda: searches(namespace)["version"] == LAST_STEP, "the last index to serve")
    namespace.helm("test", RELEASE)
    namespace.tell("helm test has searched")

    state = searches(namespace)
    assert state["failed"] == 0, f"{state}\n{namespace.describe()}"
    assert state["succeeded"] > 100
    uninstall(namespace)
    # Their pods go after the workloads have gone.
    everything = "pods,services,jobs,deployments,statefulsets,persistentvolumeclaims"
    namespace.until(lambda: not named(namespace, everything, release_selector()), "nothing of the release left")


@contextmanager
def created(name: str, security: str) -> Iterator[Namespace]:
    """A namespace with a Pod Security standard, which is gone afterwards."""
    namespace = Namespace(name, SECONDS)
    labels = {"pod-security.kubernetes.io/enforce": security}
    namespace.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        # A pod is refused until its account is there, a moment after the namespace.
        namespace.until(lambda: "default" in named(namespace, "serviceaccounts"), f"namespace {name}")
        yield namespace
    finally:
        remove(namespace)


def remove(namespace: Namespace) -> None:
    """Delete a namespace with all that is in it, and wait until it has gone."""
    namespace.kubectl("delete", "namespace", namespace.name, "--ignore-not-found", "--timeout", "180s")


def install(namespace: Namespace, values: Path, *options: str) -> None:
    """Install the release, or upgrade it."""
    files = [word for path in (*VALUES, values) for word in ("--values", str(path))]
    namespace.helm("upgrade", "--install", RELEASE, str(CHART), *files, *options)


def uninstall(namespace: Namespace) -> None:
    """Take the release away, if it is there, and wait until it has gone."""
    namespace.helm("uninstall", RELEASE, "--ignore-not-found", "--wait", "--timeout", "180s")


def cluster_values(image: str, storage: dict[str, Any]) -> dict[str, Any]:
    """Values that depend on the cluster."""
    ours = image_values(image)
    redis = os.environ.get("E2E_REDIS_IMAGE", image)
    return {
        "image": {key: ours[key] for key in ("registry", "repository", "tag")},
        "redis": {"image": image_values(redis)},
        "artifactStore": {"persistence": storage},
    }


def image_values(image: str) -> dict[str, str]:
    """registry, repository and tag of an image; without a registry the container runtime has a default."""
    name, _, tag = image.rpartition(":")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return {"registry": first, "repository": rest, "tag": tag}
    return {"registry": "", "repository": name, "tag": tag}


def start_searching(namespace: Namespace, image: str) -> None:
    """Search from within the cluster until the namespace goes."""
    namespace.apply(searcher(image))
    namespace.until(lambda: searches(namespace)["succeeded"] > 0, "the first search")


def searcher(image: str) -> dict[str, Any]:
    """A pod that searches without pause."""
    script = Path(__file__).with_name("searcher.py").read_text()
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # By address, which stays: the cluster's name server is not what is tested.
    address = f"$({RELEASE.upper()}_SEARCH_API_SERVICE_HOST)"
    environment = {"SEARCH_URL": f"http://{address}/v1/search", "SEARCH_QUERY": QUERY}
    container = {
        "name": "searcher",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", script],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "securityContext": restricted,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "tolerations": TOLERATIONS,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "searcher"}, "spec": pod}


def searches(namespace: Namespace) -> dict[str, Any]:
    """What the searching pod said last."""
    lines = namespace.kubectl("logs", "searcher", "--tail", "1", allow_failure=True).splitlines()
    state: dict[str, Any] = json.loads(lines[-1]) if lines else {"succeeded": 0, "failed": 0, "version": -1}
    return state


def crash(namespace: Namespace, component: str) -> None:
    """Take a pod away without a word, as a node does that dies."""
    namespace.until(lambda: bool(namespace.pods(component)), f"a pod of {component}")
    pod = namespace.pods(component)[0]["metadata"]["name"]
    namespace.kubectl("delete", "pod", pod, "--grace-period", "0", "--force")
    namespace.tell(f"{pod} is lost")


def names(namespace: Namespace, component: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in namespace.pods(component)}


def named(namespace: Namespace, plural: str, selector: str = "") -> set[str]:
    """Names of the objects of some kinds."""
    return {item["metadata"]["name"] for item in namespace.get(plural, selector)}


def release_selector() -> str:
    return f"app.kubernetes.io/instance={RELEASE}"


def run_on_node(namespace: Namespace, image: str, name: str, script: str) -> None:
    """Run a script in a folder of the node to its end."""
    namespace.apply(on_the_node(name, image, NODE_FOLDER, script))

    def ended() -> bool:
        phase = namespace.kubectl("get", "pod", name, "--output", "jsonpath={.status.phase}")
        assert phase != "Failed", namespace.describe()
        return phase == "Succeeded"

    namespace.until(ended, f"the end of {name}")

"""The generated password of Redis, rendered by a helm that can ask a cluster what it has."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import RUN, of_kind, render

GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def resource_list(group_version: str, *kinds: str) -> dict[str, Any]:
    """Discovery of a group: what a resource of each kind is called."""
    resources = [
        {"name": f"{kind.lower()}s", "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get"]}
        for kind in kinds
    ]
    return {"kind": "APIResourceList", "groupVersion": group_version, "resources": resources}


APPS = {"groupVersion": "apps/v1", "version": "v1"}
ANSWERS: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": resource_list("v1", "Secret", "ConfigMap", "Service", "ServiceAccount"),
    "/apis": {"kind": "APIGroupList", "groups": [{"name": "apps", "versions": [APPS], "preferredVersion": APPS}]},
    "/apis/apps/v1": resource_list("apps/v1", "StatefulSet"),
}
SERVICES = ("trainer", "inferencer", "indexer", "searchApi", "prepare")
ONLY_REDIS = {name: {"enabled": False} for name in SERVICES}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """The secrets of a cluster by name, to fill, and the arguments with which helm asks that cluster."""
    secrets: dict[str, Any] = {}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            name = path.removeprefix("/api/v1/namespaces/default/secrets/")
            answer = ANSWERS.get(path, secrets.get(name, GONE))
            self.send_response(answer.get("code", 200))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        context = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "contexts": [context],
            "users": [{"name": "test", "user": {}}],
        }
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        yield secrets, ("--kubeconfig", str(kubeconfig), "--dry-run=server", "--disable-openapi-validation")
        server.shutdown()


def password(arguments: tuple[str, ...], again: str) -> str:
    """The password of one rendering; `again` tells it from the one before, which is cached."""
    values = {**ONLY_REDIS, "commonAnnotations": {"rendering": again}}
    (secret,) = of_kind(render(RUN, values=values, arguments=arguments), "Secret").values()
    return base64.b64decode(secret["data"]["password"]).decode()


def test_a_new_release_gets_a_password_of_its_own(cluster: tuple[dict[str, Any], tuple[str, ...]]) -> None:
    _, arguments = cluster
    first, second = password(arguments, "1"), password(arguments, "2")
    assert len(first) == len(second) == 32
    assert first != second


def test_an_upgrade_keeps_the_password_that_the_cluster_has(cluster: tuple[dict[str, Any], tuple[str, ...]]) -> None:
    secrets, arguments = cluster
    owner = {"meta.helm.sh/release-name": "ance", "meta.helm.sh/release-namespace": "default"}
    about = {"name": "ance-redis", "labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}
    data = {"password": base64.b64encode(b"as it was").decode()}
    secrets["ance-redis"] = {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": data}
    assert password(arguments, "1") == password(arguments, "2") == "as it was"

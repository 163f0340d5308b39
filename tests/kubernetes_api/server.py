"""The HTTP side of the API server, with outages, refusals and slowness by command."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes_api.objects import Object, Objects, Refusal, Resource

PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/?]+)(?:/(?P<sub>scale))?)?(?:\?.*)?"
)
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Request:
    """One that was answered."""

    verb: str
    resource: str
    """As in a Role: `leases`, `deployments/scale`."""


@dataclass
class Faults:
    """What goes wrong, for resources as a Role names them."""

    status: dict[str, int] = field(default_factory=dict)
    """Answer every request for a resource with this error."""
    seconds: float = 0.0
    """Answer after so long."""


class KubernetesApi:
    """An API server on a port of the loopback interface."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.faults = Faults()
        self.requests: list[Request] = []
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> KubernetesApi:
        """Listen, on the port that was had before."""
        api = self

        class Handler(_Handler):
            server_of = api

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Be away: connections are refused, those that are open are closed. What was stored stays."""
        assert self._server is not None
        self._server.shutdown()
        self._server.close_all()
        self._server = None

    def forbid(self, *resources: str) -> None:
        """Answer as for a service account without a Role."""
        self.faults.status |= dict.fromkeys(resources, 403)

    def count(self, verb: str, resource: str) -> int:
        """How many such requests were made."""
        return self.requests.count(Request(verb, resource))

    def environment(self, folder: Path, pod: str = "encoder-0") -> dict[str, str]:
        """Environment of a pod that talks to this server, and that has an object here."""
        cluster = {"name": "here", "cluster": {"server": self.url}}
        context = {"name": "here", "context": {"cluster": "here", "user": "us"}}
        user = {"name": "us", "user": {"token": "secret"}}
        config = {"current-context": "here", "clusters": [cluster], "contexts": [context], "users": [user]}
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
        spec = {"containers": [{"name": "main", "image": "ance"}]}
        made = self.add("v1", "pods", pod, spec)
        return {
            "KUBECONFIG": str(file),
            "POD_NAME": pod,
            "POD_NAMESPACE": "default",
            "POD_UID": made["metadata"]["uid"],
        }

    def add(self, api_version: str, plural: str, name: str, spec: Object) -> Object:
        """Create an object from the outside."""
        resource = Resource(api_version, "default", plural, name)
        return self.objects.create(resource, {"metadata": {"name": name}, "spec": spec})

    def add_deployment(self, name: str, replicas: int) -> Object:
        """A Deployment of one container."""
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "ance"}]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        return self.add("apps/v1", "deployments", name, spec)

    def replicas(self, deployment: str) -> int:
        """Replicas that a Deployment asks for."""
        return int(self.objects.get(Resource("apps/v1", "default", "deployments", deployment))["spec"]["replicas"])

    def answer(self, method: str, path: str, body: Any) -> Object:
        """The answer to one request.

        Raises:
            Refusal: it is an error.
        """
        parts = PATH.fullmatch(path)
        if parts is None:
            raise Refusal(404, "NotFound", path)
        asked = "/".join(filter(None, (parts["plural"], parts["sub"])))
        resource = Resource(parts["core"] or parts["group"], parts["namespace"], parts["plural"], parts["name"] or "")
        self.requests.append(Request(VERBS[method], asked))
        time.sleep(self.faults.seconds)
        if asked in self.faults.status:
            raise Refusal(self.faults.status[asked], "Injected", f"{asked} by command")
        if parts["sub"]:
            return self._scale(method, resource, body)
        match method:
            case "GET":
                return self.objects.get(resource)
            case "POST":
                return self.objects.create(resource, body)
            case "PUT":
                return self.objects.replace(resource, body)
            case _:
                return self.objects.patch(resource, body)

    def _scale(self, method: str, resource: Resource, body: Any) -> Object:
        if method == "PATCH":
            self.objects.patch(resource, {"spec": {"replicas": body["spec"]["replicas"]}})
        found = self.objects.get(resource)
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": found["metadata"],
            "spec": {"replicas": found["spec"]["replicas"]},
            "status": {"replicas": found["spec"]["replicas"]},
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        self.server_close()
        for request in list(self._open):
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has hung up is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: KubernetesApi

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        status: int = 200
        try:
            answer = self.server_of.answer(self.command, self.path, body)
        except Refusal as refusal:
            status = refusal.status
            answer = {"kind": "Status", "apiVersion": "v1", "code": status, "reason": refusal.reason}
            answer["message"] = refusal.message
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

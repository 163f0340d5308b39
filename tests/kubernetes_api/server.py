"""An API server on the loopback interface, with outages, refusals and slowness by command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.kubernetes_api import routes
from tests.kubernetes_api.discovery import discover
from tests.kubernetes_api.kinds import BUILT_IN, Kind, Object, Refusal, Resource
from tests.kubernetes_api.listener import Listener
from tests.kubernetes_api.objects import Objects
from tests.kubernetes_api.routes import Call


@dataclass(frozen=True)
class Request:
    """One that was answered."""

    verb: str
    resource: str
    """As in a Role: `leases`, `deployments/scale`."""


Log = Callable[[Resource, str], str]
"""Log of a container of a pod."""


def no_log(pod: Resource, container: str) -> str:
    """No node runs pods.

    Raises:
        Refusal: always.
    """
    raise Refusal(400, "BadRequest", f"pod {pod.name} runs on no node, nor does its container {container}")


@dataclass
class Faults:
    """What goes wrong, for resources as a Role names them."""

    status: dict[str, int] = field(default_factory=dict)
    """Answer every request for a resource with this error."""
    seconds: float = 0.0
    """Answer after so long."""


class KubernetesApi:
    """The server, and hands on it that no client has.

    Args:
        kinds: that it says it has; those of operators are there when the operators are.
        log: where the logs of pods are had.
    """

    def __init__(self, kinds: Sequence[Kind] = BUILT_IN, log: Log = no_log) -> None:
        self.objects = Objects()
        self.faults = Faults()
        self.requests: list[Request] = []
        self._kinds = kinds
        self._log = log
        self._port = 0
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_away(self) -> bool:
        """It was stopped, or never started."""
        return self._listener is None

    def start(self) -> KubernetesApi:
        """Listen, on the port that was had before."""
        self._listener = Listener(self._port, self.answer)
        self._port = self._listener.server_port
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Be away: connections are refused, those that are open are closed. What was stored stays."""
        assert self._listener is not None
        self._listener.shutdown()
        self._listener.close_all()
        self._listener = None

    def forbid(self, *resources: str) -> None:
        """Answer as for a service account without a Role."""
        self.faults.status |= dict.fromkeys(resources, 403)

    def count(self, verb: str, resource: str) -> int:
        """How many such requests were made."""
        return self.requests.count(Request(verb, resource))

    def kubeconfig(self, folder: Path) -> Path:
        """A file with which clients find this server."""
        cluster = {"name": "here", "cluster": {"server": self.url}}
        context = {"name": "here", "context": {"cluster": "here", "user": "us"}}
        user = {"name": "us", "user": {"token": "secret"}}
        config = {"current-context": "here", "clusters": [cluster], "contexts": [context], "users": [user]}
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
        return file

    def environment(self, folder: Path, pod: str = "encoder-0") -> dict[str, str]:
        """Environment of a pod that talks to this server, and that has an object here."""
        spec = {"containers": [{"name": "main", "image": "ance"}]}
        made = self.add("v1", "pods", pod, spec)
        return {
            "KUBECONFIG": str(self.kubeconfig(folder)),
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

    def answer(self, call: Call) -> Object | str | Iterator[Object]:
        """The answer to a request; to a watch, its events, and of a log its text.

        Raises:
            Refusal: it is an error.
        """
        if not call.is_about_objects:
            return discover(call.path, self._kinds)
        asked = "/".join(filter(None, (call.resource.plural, call.sub)))
        self.requests.append(Request(call.verb, asked))
        time.sleep(self.faults.seconds)
        if asked in self.faults.status:
            raise Refusal(self.faults.status[asked], "Injected", f"{asked} by command")
        if call.sub == "log":
            return routes.log(self.objects, call, self._log)
        return routes.answer(self.objects, call)

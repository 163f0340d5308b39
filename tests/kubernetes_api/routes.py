"""Requests for objects: paths, verbs and kinds of patches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.kubernetes_api import protobuf
from tests.kubernetes_api.apply import Manager
from tests.kubernetes_api.kinds import Object, Refusal, Resource
from tests.kubernetes_api.objects import Objects
from tests.kubernetes_api.patches import json_merge, strategic_merge
from tests.kubernetes_api.selectors import selected
from tests.kubernetes_api.structure import structure_of

PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>log|scale|status))?)?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
WATCH_SECONDS = 1.0
"""How often a watch looks whether its client or the server is gone."""


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    agent: str
    body: bytes

    @property
    def is_about_objects(self) -> bool:
        """It is not about the server itself."""
        return PATH.fullmatch(self.path) is not None

    @property
    def verb(self) -> str:
        """As in a Role."""
        if self.method != "GET":
            return VERBS[self.method]
        if self.resource.name:
            return "get"
        return "watch" if self.query.get("watch") in ("1", "true") else "list"

    @property
    def resource(self) -> Resource:
        """What it is about.

        Raises:
            Refusal: nothing that the server has.
        """
        parts = self._parts()
        return Resource(parts["core"] or parts["group"], parts["namespace"] or "", parts["plural"], parts["name"] or "")

    @property
    def sub(self) -> str:
        """The subresource: `log`, `scale`, `status` or nothing."""
        return self._parts()["sub"] or ""

    @property
    def manager(self) -> Manager:
        """Who will own the fields that it changes."""
        name = self.query.get("fieldManager") or self.agent.partition("/")[0]
        return Manager(name, applies=self.method == "PATCH" and self.content_type == APPLY)

    @property
    def grace(self) -> int | None:
        """Seconds that a deleted pod has to end, if the client says so."""
        options = json.loads(self.body) if self.body and self.content_type == "application/json" else {}
        seconds: int | None = options.get("gracePeriodSeconds")
        return seconds

    @property
    def content(self) -> Any:
        """The body. What is applied may be YAML, of which JSON is a part that is read faster."""
        if self.content_type == protobuf.CONTENT_TYPE:
            return protobuf.decode(self.body)
        if self.content_type == APPLY and not self.body.startswith(b"{"):
            return yaml.load(self.body, yaml.CSafeLoader)
        return json.loads(self.body)

    def _parts(self) -> re.Match[str]:
        parts = PATH.fullmatch(self.path)
        if parts is None:
            raise Refusal(404, "NotFound", self.path)
        return parts


def answer(objects: Objects, call: Call) -> Object | Iterator[Object]:
    """The answer to a request; to a watch, its events, until the client goes.

    Raises:
        Refusal: it is an error.
    """
    resource = call.resource
    if call.sub == "scale":
        return _scale(objects, call)
    match call.verb:
        case "get":
            return objects.get(resource)
        case "watch":
            if "sendInitialEvents" in call.query:
                raise Refusal(422, "Invalid", "sendInitialEvents: Forbidden: the WatchList feature is off")
            return _watch(objects, call)
        case "list":
            return _list(objects, call)
        case "create":
            return objects.create(resource, call.content, call.manager)
        case "update":
            return objects.replace(resource, call.content, call.manager)
        case "delete":
            return objects.delete(resource, call.grace)
        case _:
            return _patch(objects, call)


def log(objects: Objects, call: Call, read: Callable[[Resource, str], str]) -> str:
    """The log of a container of a pod, or its end.

    Raises:
        Refusal: there is no such pod, or the container has not begun.
    """
    pod = objects.get(call.resource)
    container = call.query.get("container") or pod["spec"]["containers"][0]["name"]
    lines = read(call.resource, container).splitlines(keepends=True)
    return "".join(lines[-int(call.query["tailLines"]) :] if "tailLines" in call.query else lines)


def _patch(objects: Objects, call: Call) -> Object:
    resource, structure = call.resource, structure_of(call.resource.kind)
    match call.content_type:
        case content if content == APPLY:
            force = call.query.get("force") == "true"
            return objects.apply(resource, call.content, call.manager, force=force)
        case content if content == STRATEGIC and not resource.kind.custom:
            return objects.patch(
                resource, call.content, call.manager, lambda present, patch: strategic_merge(present, patch, structure)
            )
        case content if content == MERGE:
            return objects.patch(resource, call.content, call.manager, json_merge)
        case other:
            raise Refusal(415, "UnsupportedMediaType", f"{other} of {resource.plural}")


def _scale(objects: Objects, call: Call) -> Object:
    if call.method == "PATCH":
        objects.patch(call.resource, {"spec": {"replicas": call.content["spec"]["replicas"]}}, call.manager)
    found = objects.get(call.resource)
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": found["metadata"],
        "spec": {"replicas": found["spec"]["replicas"]},
        "status": {"replicas": found["spec"]["replicas"]},
    }


def _selected(call: Call, items: list[Object]) -> list[Object]:
    labels, fields = (call.query.get(name, "") for name in ("labelSelector", "fieldSelector"))
    return [item for item in items if selected(item, labels, fields)]


def _list(objects: Objects, call: Call) -> Object:
    resource, version = call.resource, objects.version
    items = _selected(call, objects.list(resource.plural, resource.namespace))
    about = {"kind": f"{resource.kind.name}List", "apiVersion": resource.api_version}
    return about | {"metadata": {"resourceVersion": str(version)}, "items": items}


def _watch(objects: Objects, call: Call) -> Iterator[Object]:
    wanted = call.resource
    since = int(call.query.get("resourceVersion") or objects.version)
    while True:
        for change in objects.changes(since, WATCH_SECONDS):
            since = change.version
            same = change.resource.plural == wanted.plural and wanted.namespace in ("", change.resource.namespace)
            if same and _selected(call, [change.item]):
                yield {"type": change.event, "object": change.item}
        yield {}

"""kubectl and helm in one namespace of the cluster that KUBECONFIG names."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import yaml

from tools.helm_binary import find


class Namespace:
    """A namespace of the test's own.

    Args:
        name: of the namespace.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *arguments: str, text: str = "", allow_failure: bool = False) -> str:
        """Run kubectl in the namespace and return what it printed.

        Raises:
            AssertionError: it failed; the message is kubectl's.
        """
        return _run([str(find("kubectl")), "--namespace", self.name, *arguments], text, allow_failure)

    def helm(self, *arguments: str) -> str:
        """Run helm in the namespace and return what it printed.

        Raises:
            AssertionError: it failed; the message is helm's.
        """
        return _run([str(find("helm")), "--namespace", self.name, *arguments])

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make objects be there."""
        self.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all(objects))

    def get(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects of a kind that a label selector matches."""
        found: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kind, "--output", "json", *(("--selector", selector) if selector else ()))
        )["items"]
        return found

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of a component that are not about to go."""
        pods = self.get("pods", f"app.kubernetes.io/component={component}")
        return [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in ("Succeeded", "Failed")
        ]

    def ready(self, component: str) -> int:
        """How many pods of a component are ready."""
        return sum(
            condition["status"] == "True"
            for pod in self.pods(component)
            for condition in pod["status"].get("conditions") or ()
            if condition["type"] == "Ready"
        )

    def job_succeeded(self, component: str) -> bool:
        """True once the Job of a component has succeeded.

        Raises:
            AssertionError: it has failed for good.
        """
        conditions = {
            condition["type"]
            for job in self.get("jobs", f"app.kubernetes.io/component={component}")
            for condition in job.get("status", {}).get("conditions") or ()
            if condition["status"] == "True"
        }
        assert "Failed" not in conditions, self.describe()
        return "Complete" in conditions

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            AssertionError: it did not come true in time; the message tells what the namespace looked like.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}\n{self.describe()}"
            time.sleep(1)

    def describe(self) -> str:
        """Pods, events and the end of each log, for a person to read."""
        parts = [
            self.kubectl("get", "pods", "--output", "wide", allow_failure=True),
            self.kubectl("get", "events", "--sort-by", ".lastTimestamp", allow_failure=True),
        ]
        for pod in self.get("pods"):
            name = pod["metadata"]["name"]
            log = self.kubectl("logs", name, "--all-containers", "--tail", "20", allow_failure=True)
            parts.append(f"--- {name}\n{log}")
        return "\n".join(parts)


def _run(command: list[str], text: str = "", allow_failure: bool = False) -> str:
    finished = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)
    assert allow_failure or finished.returncode == 0, f"{' '.join(command)}: {finished.stderr}"
    return finished.stdout

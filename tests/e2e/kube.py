"""kubectl and helm in one namespace of the cluster that KUBECONFIG names."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import yaml

from tools.helm_binary import find

COMMAND_SECONDS = 300
NO_IMAGE = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
"""Why a container waits that will wait for ever."""


class CommandFailed(AssertionError):
    """kubectl or helm failed; the message is theirs."""


class Namespace:
    """A namespace of the test's own.

    Args:
        name: of the namespace.
        seconds: that all waiting together may take from now on.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self._began = time.monotonic()
        self._deadline = self._began + seconds

    def kubectl(self, *arguments: str, text: str = "", allow_failure: bool = False) -> str:
        """Run kubectl in the namespace and return what it printed.

        Raises:
            CommandFailed: it failed, unless that is allowed.
        """
        return _run([str(find("kubectl")), "--namespace", self.name, *arguments], text, allow_failure)

    def helm(self, *arguments: str) -> str:
        """Run helm in the namespace and return what it printed.

        Raises:
            CommandFailed: it failed.
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

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and say when it came true. A look that fails is not the last: the node is busy.

        Raises:
            AssertionError: the time is up, or an image is not there; the message tells what the namespace looked like.
        """
        while True:
            trouble = ""
            try:
                if condition():
                    break
                missing = self._missing_images()
            except CommandFailed as error:
                missing, trouble = [], str(error)
            assert not missing, f"images that are not on the node: {missing}\n{self.describe()}"
            assert time.monotonic() < self._deadline, f"waited in vain for {what}\n{trouble}\n{self.describe()}"
            time.sleep(1)
        self.tell(what)

    def _missing_images(self) -> list[str]:
        return [
            status["image"]
            for pod in self.get("pods")
            for key in ("initContainerStatuses", "containerStatuses")
            for status in pod["status"].get(key) or ()
            if status["state"].get("waiting", {}).get("reason") in NO_IMAGE
        ]

    def tell(self, what: str) -> None:
        """Print what has happened, and after how long."""
        print(f"{time.monotonic() - self._began:6.1f} s  {what}", flush=True)

    def describe(self) -> str:
        """Pods, events and the end of each log, for a person to read."""
        parts = [
            self.kubectl("get", "pods", "--output", "wide", allow_failure=True),
            self.kubectl("get", "events", "--sort-by", ".lastTimestamp", allow_failure=True),
        ]
        names = self.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.name}", allow_failure=True)
        for name in names.split():
            log = self.kubectl("logs", name, "--all-containers", "--tail", "20", allow_failure=True)
            parts.append(f"--- {name}\n{log}")
        return "\n".join(parts)


def _run(command: list[str], text: str = "", allow_failure: bool = False) -> str:
    try:
        finished = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(command)}: no answer after {COMMAND_SECONDS} s") from error
    if finished.returncode and not allow_failure:
        raise CommandFailed(f"{' '.join(command)}: {finished.stderr}")
    return finished.stdout

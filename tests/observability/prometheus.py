"""A real Prometheus with the chart's rules, which scrapes processes of this machine every second."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ance.cli.stack import free_port
from tests.observability.rules import RULES

LABELS = {"namespace": "default", "release": "ance"}
"""What the chart's monitors add on Kubernetes."""


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Series of an instant query; a number counts as one."""
        found = self._get("query", query=expr)
        return [{"metric": {}, "value": found["result"]}] if found["resultType"] == "scalar" else found["result"]

    def values(self, expr: str) -> list[float]:
        """The value of each series of an instant query."""
        return [float(series["value"][1]) for series in self.query(expr)]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped."""
        return list(self._get("targets")["activeTargets"])

    def _get(self, what: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}?{query}", timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Start a server.

    Args:
        folder: for its configuration and data.
        targets: job -> host:port.
    """
    port = free_port()
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": LABELS}]}
            for job, address in targets.items()
        ],
    }
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await_ready(url, process, folder / "prometheus.log")
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(30)


def await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server answers queries."""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return

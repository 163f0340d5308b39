"""Checkov on the rendered chart. It clashes with the `kubernetes` package, so `make test-chart` gives it an environment
of its own; $CHECKOV names its binary, or it is on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helm.chart import CHART, CPU, EVERYTHING, RUN, render_text

OPEN = {("CKV2_K8S_6", "/default.yaml"), ("CKV2_K8S_6", "/cpu.yaml")}
"""NetworkPolicies are off by default: whom they must let in depends on the cluster, which the chart can't know."""

CHECKOV = shutil.which(os.environ.get("CHECKOV", "checkov"))


@pytest.mark.skipif(CHECKOV is None, reason="no checkov: make test-chart installs it, or name yours in $CHECKOV")
@pytest.mark.timeout(300)
def test_checkov_finds_nothing_outside_the_allow_list(tmp_path: Path) -> None:
    networks = {"networkPolicy": {"enabled": True}}
    renders = {
        "default.yaml": render_text(RUN, namespace="search"),
        "cpu.yaml": render_text(CPU, namespace="search"),
        "cpu-closed.yaml": render_text(CPU, values=networks, namespace="search"),
        "everything.yaml": render_text(RUN, values=EVERYTHING, namespace="search"),
    }
    for name, text in renders.items():
        (tmp_path / name).write_text(text)
    command = [
        str(CHECKOV),
        "--directory",
        str(tmp_path),
        "--config-file",
        str(CHART / ".checkov.yaml"),
        "--output",
        "json",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(finished.stdout)
    failed = {
        f"{check['check_id']} {check['file_path']} {check['resource']}"
        for check in report["results"]["failed_checks"]
        if (check["check_id"], check["file_path"]) not in OPEN
    }
    assert failed == set()
    assert report["summary"]["passed"] > 2000


def test_every_entry_of_the_allow_list_has_a_reason() -> None:
    lines = (CHART / ".checkov.yaml").read_text().splitlines()
    allowed = [number for number, line in enumerate(lines) if line.startswith("  - CKV")]
    assert 0 < len(allowed) <= 6
    assert all(lines[number - 1].startswith("  # ") for number in allowed)

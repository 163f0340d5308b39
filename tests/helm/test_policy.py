"""Checkov on the rendered chart. It clashes with the `kubernetes` package, so it lives in an environment of its own:
$CHECKOV names its binary, or it is on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helm.chart import CHART, CPU, EVERYTHING, RUN, render_text

CHECKOV = shutil.which(os.environ.get("CHECKOV", "checkov"))


@pytest.mark.skipif(CHECKOV is None, reason="checkov is not installed: put it on PATH or name it in $CHECKOV")
@pytest.mark.timeout(300)
def test_checkov_finds_nothing_outside_the_allow_list(tmp_path: Path) -> None:
    networks = {"networkPolicy": {"enabled": True}}
    (tmp_path / "cpu.yaml").write_text(render_text(CPU, values=networks, namespace="search"))
    (tmp_path / "everything.yaml").write_text(render_text(RUN, values=EVERYTHING, namespace="search"))
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
    failed = [f"{check['check_id']} {check['resource']}" for check in report["results"]["failed_checks"]]
    assert failed == []
    assert report["summary"]["passed"] > 500


def test_every_entry_of_the_allow_list_has_a_reason() -> None:
    lines = (CHART / ".checkov.yaml").read_text().splitlines()
    allowed = [number for number, line in enumerate(lines) if line.startswith("  - CKV")]
    assert 0 < len(allowed) <= 6
    assert all(lines[number - 1].startswith("  # ") for number in allowed)

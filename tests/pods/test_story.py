"""The chart's CPU overlay from install to uninstall, every container a process of this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pods.images import ROOT
from tests.pods.sandbox import unavailable


@pytest.mark.timeout(600)
@pytest.mark.skipif(unavailable() is not None, reason=f"no sandbox for pods: {unavailable()}")
def test_searches_never_fail_while_pods_are_lost_and_the_release_is_upgraded(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.pods.story", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # What failed comes first: a report of a test may be cut.
    assert finished.returncode == 0, f"{finished.stderr[-3000:]}\n{finished.stdout}"
    assert "0 failed" in finished.stdout

"""The chart, rendered by the real helm."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.pods.images import ROOT
from tools.helm_binary import find

CHART = ROOT / "helm" / "ance"


def template(release: str, values: Sequence[Path], *settings: str, namespace: str = "default") -> str:
    """What `helm template` prints.

    Args:
        release: its name.
        values: files of values, the last wins.
        settings: `key=value` for --set.
        namespace: of the release.

    Raises:
        AssertionError: helm refused; the message is helm's.
    """
    finished = subprocess.run(
        [
            *(str(find("helm")), "template", release, str(CHART), "--namespace", namespace),
            *(word for path in values for word in ("--values", str(path))),
            *(word for setting in settings for word in ("--set", setting)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout

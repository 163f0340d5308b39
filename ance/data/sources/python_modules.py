"""The Python source files of this environment, by the package that installed them. Nothing is imported."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePath
from typing import NamedTuple

STDLIB = "stdlib"
INSTALLATION_FOLDERS = ("site-packages", "dist-packages")


class Module(NamedTuple):
    """A source file and the name under which it would be imported."""

    name: str
    path: Path
    where: str
    """The path as a person knows it, relative to the place of installation."""


class Package(NamedTuple):
    """An installed distribution, or the standard library."""

    name: str
    version: str
    modules: tuple[Module, ...]


def installed_packages(search_path: Sequence[str] | None = None) -> dict[str, Package]:
    """Packages by name, with their modules; tests and bundled copies of other packages are left out.

    Args:
        search_path: folders that hold installed distributions (None: those of this interpreter, with the
            standard library).
    """
    packages: dict[str, Package] = {}
    if search_path is None:
        packages[STDLIB] = _stdlib(Path(sysconfig.get_path("stdlib")))
        # Not the working directory, where a project's own metadata may lie.
        search_path = [path for path in sys.path if Path(path).name in INSTALLATION_FOLDERS]
    for distribution in distributions(path=list(search_path)):
        package = _package(distribution)
        # The first of two installations hides the other, as it does for `import`.
        packages.setdefault(package.name, package)
    return {name: package for name, package in packages.items() if package.modules}


def _package(distribution: Distribution) -> Package:
    name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
    modules = (
        Module(module, Path(str(distribution.locate_file(file))), file.as_posix())
        for file in distribution.files or ()
        if (module := _module_name(file))
    )
    return Package(name, distribution.version, _unique(modules))


def _stdlib(folder: Path) -> Package:
    files = ((path, path.relative_to(folder)) for path in folder.rglob("*.py"))
    modules = (Module(name, path, file.as_posix()) for path, file in files if (name := _module_name(file)))
    return Package(STDLIB, ".".join(map(str, sys.version_info[:3])), _unique(modules))


def _unique(modules: Iterable[Module]) -> tuple[Module, ...]:
    return tuple({module.name: module for module in modules}.values())


def _module_name(file: PurePath) -> str:
    """Dotted name of a source file, empty for a file that is no module of interest."""
    if file.suffix != ".py":
        return ""
    parts = [*file.parts[:-1], file.stem]
    if parts[-1] == "__init__":
        parts.pop()
    # `site-packages` and scripts beside it are no identifiers.
    if not all(part.isidentifier() for part in parts) or any(_is_left_out(part) for part in parts):
        return ""
    return ".".join(parts)


def _is_left_out(part: str) -> bool:
    is_test = part in ("test", "tests", "testing", "idle_test", "conftest") or part.startswith("test_")
    is_copy = part in ("_vendor", "vendor", "_vendored", "vendored")
    # The finder of an editable installation is generated, with a path of this machine in it.
    return is_test or part.endswith("_test") or is_copy or part.startswith("__editable__")

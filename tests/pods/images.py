"""What stands for an image here: programs of this machine or of a built image, with the Dockerfile's settings."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ance.runtime.redis.local_server import find_server
from tests.pods.manifests import ManifestError

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = "root:x:0:0:root:/root:/usr/sbin/nologin\nance:x:10001:10001:ance:/tmp:/usr/sbin/nologin\n"


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a container sees it."""

    environment: Mapping[str, str]
    user: int | None
    working_dir: str
    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...]
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Folders of this machine that are in the image, by their paths there."""
    files: Mapping[str, str] = field(default_factory=lambda: {"/etc/passwd": PASSWD, "/etc/group": "ance:x:10001:\n"})
    root: Path | None = None
    """Folder that holds the files of a built image; without one its programs are this machine's."""


class Images:
    """Images by repository.

    Args:
        folders: what every image of ours holds beside the project, e.g. a small model, by path.
        root: folder that holds the files of our image, built; without one ours is the working tree.
    """

    def __init__(self, folders: Mapping[str, Path] = MappingProxyType({}), root: Path | None = None) -> None:
        self._folders = folders
        self._root = root

    def pull(self, reference: str) -> Image:
        """The image of a reference such as `registry/ance:1.0`.

        Raises:
            ManifestError: no image of that name is known here, as in ErrImagePull.
        """
        repository = re.sub(r"(@.*|:[^/]*)$", "", reference).rpartition("/")[2]
        if repository.startswith("ance"):
            target = "gpu" if reference.endswith("gpu") else "cpu"
            return built(target, self._folders, self._root) if self._root else ours(target, self._folders)
        if repository in ("redis", "valkey"):
            return redis()
        raise ManifestError(f"image {reference} is unknown to the pod runner")


def ours(target: str, folders: Mapping[str, Path]) -> Image:
    """The image of this project: the working tree and the interpreter that runs this."""
    settings = instructions((ROOT / "Dockerfile").read_text(), target)
    programs = f"{Path(sys.prefix) / 'bin'}:{Path(find_server()).parent}"
    environment = settings.environment | {"PATH": f"{programs}:{SYSTEM_PATH}"}
    here = {str(folder): folder for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix))}
    return Image(environment, settings.user, settings.working_dir, (), settings.arguments, {**here, **folders})


def built(target: str, folders: Mapping[str, Path], root: Path) -> Image:
    """The image of this project, from the files of one that was built."""
    settings = instructions((ROOT / "Dockerfile").read_text(), target)
    # All names are in /etc/hosts: nobody is asked for another, least of all whom the image was built with.
    names = {"/etc/resolv.conf": ""}
    return Image(
        settings.environment, settings.user, settings.working_dir, (), settings.arguments, folders, names, root
    )


def redis() -> Image:
    """The official image of Redis: `redis-server` and `redis-cli` on PATH."""
    programs = Path(find_server()).parent
    path = f"{programs}:{SYSTEM_PATH}"
    return Image({"PATH": path}, None, "/data", (), ("redis-server",), {str(programs): programs})


@dataclass(slots=True)
class Instructions:
    """What a Dockerfile sets for containers of one target."""

    environment: dict[str, str] = field(default_factory=dict)
    user: int | None = None
    working_dir: str = "/"
    arguments: tuple[str, ...] = ()


def instructions(dockerfile: str, target: str) -> Instructions:
    """Follow a target's stages from the first to the last.

    Raises:
        ManifestError: no stage has that name.
    """
    stages: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    name = ""
    for line in re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = (base, [])
        elif name and word:
            stages[name][1].append((word, rest.strip()))
    if target not in stages:
        raise ManifestError(f"the Dockerfile has no target {target} (there are: {', '.join(stages)})")
    lineage = [target]
    while (base := stages[lineage[0]][0]) in stages:
        lineage.insert(0, base)
    result = Instructions()
    for word, rest in (instruction for stage in lineage for instruction in stages[stage][1]):
        if word == "ENV":
            result.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            result.user = int(rest.partition(":")[0])
        elif word == "WORKDIR":
            result.working_dir = rest
        elif word == "CMD":
            result.arguments = tuple(shlex.split(rest.strip("[]").replace(",", " ")))
    return result

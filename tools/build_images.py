"""Build the images with docker, podman or buildah, whichever is there.

    python tools/build_images.py --target cpu --target gpu
    python tools/build_images.py --target cpu --image registry.example/ance:1.0 --base-image debian-python:3.11 \
        --build-arg PIP_EXTRA_ARGS="--extra-index-url ..." -- --volume /wheels:/wheels:ro

What follows `--` goes to the builder as it is. PyTorch for processors is a quarter of the size of PyTorch with CUDA,
and has an index of its own: name it in PIP_EXTRA_ARGS for the target `cpu`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("docker", "podman", "buildah")
TARGETS = ("cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Build:
    """One image to build."""

    target: str
    image: str
    arguments: tuple[str, ...]
    """NAME=VALUE for the Dockerfile's ARGs."""
    options: tuple[str, ...] = ()
    """For the builder."""


def find_engine(works: Callable[[str], bool]) -> str:
    """The first engine that works.

    Raises:
        SystemExit: there is none.
    """
    for engine in ENGINES:
        if works(engine):
            return engine
    raise SystemExit(f"build_images: none of {', '.join(ENGINES)} works on this machine; install one")


def works(engine: str) -> bool:
    """True if an engine is installed and, where it needs a daemon, reaches it."""
    if shutil.which(engine) is None:
        return False
    return engine != "docker" or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def command(engine: str, build: Build) -> list[str]:
    """The command line that builds an image, to be run in the root of the project."""
    # Bases may exist on this machine only: docker looks here first by itself.
    local = [] if engine == "docker" else ["--pull=false"]
    return [
        *(engine, "build", "--file", "Dockerfile", "--target", build.target, "--tag", build.image),
        *local,
        *(word for argument in build.arguments for word in ("--build-arg", argument)),
        *build.options,
        ".",
    ]


def reference(image: str, target: str, version: str) -> str:
    """Name and tag of an image: the tag is <version>-<target> unless one is given, as the chart expects."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:{version}-{target}"


def version(project: Path) -> str:
    """Version of the project."""
    return str(tomllib.loads(project.read_text())["project"]["version"])


def revision() -> str:
    """Commit that is built, `unknown` outside a git checkout."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return git.stdout.strip() or "unknown"


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is asked for. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the images with docker, podman or buildah.")
    parser.add_argument("--target", action="append", choices=TARGETS, help="what to build (default: all)")
    parser.add_argument("--image", default="ance", help="repository, or repository:tag for a single target")
    parser.add_argument("--base-image", default="", help="base with python3.11 (default: the Dockerfile's)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that works")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    parser.add_argument("options", nargs="*", help="after --: options of the builder")
    chosen = parser.parse_args(argv)
    targets = tuple(dict.fromkeys(chosen.target or TARGETS))
    if ":" in chosen.image.rpartition("/")[2] and len(targets) > 1:
        parser.error(f"--image {chosen.image} names one image, but targets are {', '.join(targets)}")

    number = version(ROOT / "pyproject.toml")
    arguments = [f"VERSION={number}", f"REVISION={revision()}", *chosen.build_arg]
    if chosen.base_image:
        arguments.append(f"BASE_IMAGE={chosen.base_image}")
    engine = chosen.engine or find_engine(works)
    for target in targets:
        image = reference(chosen.image, target, number)
        line = command(engine, Build(target, image, tuple(arguments), tuple(chosen.options)))
        print(shlex.join(line), flush=True)
        if not chosen.dry_run and (code := subprocess.run(line, cwd=ROOT, check=False).returncode):
            print(f"build_images: {engine} could not build {image}", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())

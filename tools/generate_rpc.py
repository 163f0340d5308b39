"""Generate `ance/runtime/rpc/` from `protos/`.

    python tools/generate_rpc.py            write the generated modules
    python tools/generate_rpc.py --check    exit 1 if what is committed differs from the protos

The proto package `ance.v1` would become a Python package `ance/v1`. The modules belong to `ance.runtime.rpc`
instead, so their imports of each other are made relative.
"""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
PROTO_PACKAGE = "ance.v1"
PYTHON_PACKAGE = "ance.runtime.rpc"

# Each generator stamps its own version. A newer generator alone is not drift.
STAMPS = (
    r"# Protobuf Python Version: \S+",
    r"GRPC_GENERATED_VERSION = '\S+'",
    r"ValidateProtobufRuntimeVersion\([^)]*\)",
)


def generate(protos: Path) -> dict[str, str]:
    """Compile every proto of the package.

    Args:
        protos: The folder that holds `ance/v1/*.proto`.

    Returns:
        Text of each generated module and type stub, by file name.

    Raises:
        SystemExit: the protos do not compile; protoc has already said why.
    """
    package = PROTO_PACKAGE.replace(".", "/")
    sources = sorted(path.relative_to(protos).as_posix() for path in (protos / package).glob("*.proto"))
    if not sources:
        raise SystemExit(f"{protos / package}: no .proto files")
    scripts = Path(sysconfig.get_path("scripts"))
    plugins = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "protoc",
            f"-I{protos}",
            f"-I{resources.files('grpc_tools') / '_proto'}",
            *(f"--plugin={plugin}={scripts / plugin}" for plugin in plugins),
            *(f"--{output}_out={folder}" for output in ("python", "grpc_python")),
            *(f"--{output}_out=quiet:{folder}" for output in ("mypy", "mypy_grpc")),
        ]
        if protoc.main([*arguments, *sources]) != 0:
            raise SystemExit(f"protoc could not compile {', '.join(sources)}")
        generated = (Path(folder) / package).iterdir()
        return {path.name: rehome(path.read_text()) for path in sorted(generated)}


def rehome(text: str) -> str:
    """Move a generated module from the proto package to the Python package that holds it."""
    text = text.replace(f"from {PROTO_PACKAGE} import ", "from . import ")
    builder = "BuildTopDescriptorsAndMessages(DESCRIPTOR, "
    return text.replace(f"{builder}'{PROTO_PACKAGE}.", f"{builder}'{PYTHON_PACKAGE}.")


def drift(generated: dict[str, str], folder: Path) -> list[str]:
    """What is wrong with the committed modules, one line for each file that differs."""
    committed = {path.name: path.read_text() for path in folder.glob("*_pb2*.py*")}
    problems = [f"{folder / name}: no proto generates this" for name in committed.keys() - generated.keys()]
    for name, text in generated.items():
        if name not in committed:
            problems.append(f"{folder / name}: missing")
        elif _without_stamps(committed[name]) != _without_stamps(text):
            problems.append(f"{folder / name}: differs from what the protos generate")
    return sorted(problems)


def _without_stamps(text: str) -> str:
    return re.sub("|".join(STAMPS), "", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the modules or, with --check, compare them. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Generate ance/runtime/rpc/ from protos/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    parser.add_argument("--protos", type=Path, default=ROOT / "protos", help="folder of ance/v1/*.proto")
    parser.add_argument("--output", type=Path, default=ROOT / "ance/runtime/rpc", help="folder of the modules")
    options = parser.parse_args(argv)

    generated = generate(options.protos)
    if not options.check:
        for name, text in generated.items():
            (options.output / name).write_text(text)
        return 0
    problems = drift(generated, options.output)
    if problems:
        remedy = "Run `python tools/generate_rpc.py` and commit the result."
        print(*problems, remedy, sep="\n", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

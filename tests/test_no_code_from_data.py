"""What is stored or sent is data: nothing in it is ever run."""

from __future__ import annotations

import ast
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ance.errors import AnceError
from ance.model.bi_encoder import BiEncoder
from ance.negatives.mined import MinedNegatives
from tests.services.service_run import ServiceRun, prepare_store

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for package in ("ance", "services", "tools", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "_pb2" not in path.name
]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"}
CALLS |= {"torch.load", "torch.save", "pandas.read_pickle"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def offences(source: str) -> Iterator[str]:
    """What a source file has that could run code out of data."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (f"import {name.name}" for name in names if name.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                yield f"from {module} import"
            case ast.Call(func=function, keywords=keywords):
                name = dotted(function)
                named = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
                if name in CALLS and not (name == "torch.load" and named.get("weights_only") == "True"):
                    yield f"{name}()"
                if name in {"np.load", "np.save"} and named.get("allow_pickle") != "False":
                    yield f"{name}() without allow_pickle=False"
                if named.get("shell") == "True" or named.get("trust_remote_code") == "True":
                    yield f"{name}() that runs code it is given"


def test_no_module_can_run_what_it_reads() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(offences(path.read_text("utf-8"))) for path in SOURCES}
    assert len(found) > 100
    assert {path: offending for path, offending in found.items() if offending} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.load(text)",
        "subprocess.run(command, shell=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_the_search_for_offences_finds_them(source: str) -> None:
    assert list(offences(source))


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, crater: Path) -> None:
        self.crater = crater

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.crater),)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_store(tmp_path_factory.mktemp("security"))


def test_a_run_reads_all_it_needs_without_unpickling(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    run = ServiceRun.create(world, "unpickled", cache=tmp_path)
    checkpoint = run.publish_checkpoint(10)
    encoder = run.encoder(checkpoint)
    assert encoder.encode_rows(run.dataset.passages.tokens, 0, 2, 16).shape[0] == 2
    assert len(run.dataset.qrels("train").passages) > 0


def test_a_bomb_in_an_array_does_not_go_off(tmp_path: Path) -> None:
    for name in ("queries", "negatives", "candidates", "scores"):
        np.save(tmp_path / f"{name}.npy", np.array([Bomb(tmp_path / "crater")], dtype=object), allow_pickle=True)
    with pytest.raises((AnceError, ValueError)):
        MinedNegatives.open(tmp_path)
    assert not (tmp_path / "crater").exists()


def test_a_bomb_in_the_weights_does_not_go_off(world: Path, tmp_path: Path) -> None:
    run = ServiceRun.create(world, "bomb", cache=tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    folder = tmp_path / "model"
    BiEncoder.start(run.config.model).save(folder)
    for weights in folder.rglob("*.safetensors"):
        torch.save({"weights": Bomb(tmp_path / "crater")}, weights.with_name("pytorch_model.bin"))
        weights.unlink()
    with pytest.raises((AnceError, OSError, ValueError, pickle.UnpicklingError, RuntimeError)):
        BiEncoder.load(folder)
    assert not (tmp_path / "crater").exists()

"""Compiled encoders give the vectors of those that are not, and save the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor import config as inductor_config

from ance.data.ragged import Ragged
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.model.compiling import compile_in_place, require_compiler
from ance.model.encoding import TextEncoder
from tests.model.conftest import Start

# Importing the compiler warns of what torch does itself.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FAST = {"compile_threads": 1, "cpp_cache_precompile_headers": False, "cpp.vec_isa_ok": False}
"""Compile plain code in this process: tuning it to the processor takes longer than the test."""


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    """Nothing is compiled yet, and nothing counted."""
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compiled_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_vectors_are_those_of_the_encoder_that_is_not_compiled(start: Start, tokens: Ragged) -> None:
    model = start("bert", layers=1)
    special = Tokenizer.load(model.tokenizer_path).special
    plain = TextEncoder(model, special, token_budget=100).encode_rows(tokens, 0, 40, 32)
    compiled = TextEncoder(model, special, token_budget=100, backend="eager")
    np.testing.assert_allclose(compiled.encode_rows(tokens, 0, 40, 32), plain, atol=1e-5)
    assert 0 < (graphs := compiled_graphs()) <= 3, "batches of all sizes share the code"
    TextEncoder(start("bert", layers=1), special, backend="eager").encode_rows(tokens, 0, 40, 32)
    assert compiled_graphs() == graphs, "and so do checkpoints"


class Layer(nn.Module):
    """As much of a transformer as can be compiled in a few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.norm(given + nn.functional.gelu(self.linear(given)))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@inductor_config.patch(FAST)
def test_the_compiler_itself_gives_the_same_values() -> None:
    torch.manual_seed(0)
    layer = Layer()
    inputs = [torch.randn(rows, 8) for rows in (3, 5, 11)]
    plain = [layer(given) for given in inputs]
    compile_in_place([layer], "inductor")
    for given, expected in zip(inputs, plain, strict=True):
        torch.testing.assert_close(layer(given), expected, atol=1e-5, rtol=1e-5)
    assert compiled_graphs() == 1


def test_a_compiled_model_saves_the_same_bytes(start: Start, tmp_path: Path) -> None:
    model = start("bert", layers=1, projection_dim=8)
    names = list(model.state_dict())
    model.save(tmp_path / "before")
    compile_in_place([model.backbone], "eager")
    model(torch.ones(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))
    assert compiled_graphs() > 0
    model.save(tmp_path / "after")
    assert list(model.state_dict()) == names and not [name for name in names if "_orig_mod" in name]
    for file in (tmp_path / "before").rglob("*.*"):
        if file.is_file():
            assert (tmp_path / "after" / file.relative_to(tmp_path / "before")).read_bytes() == file.read_bytes()


def test_what_works_here_is_not_refused() -> None:
    require_compiler("eager", "cpu", "training.compile")
    assert compiled_graphs() == 1


def test_a_compiler_that_cannot_work_is_said_with_the_key_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/proc/no-folder")
    with pytest.raises(
        AnceError, match=r"encoding\.compile: inductor does not work on cpu here: .*/proc/no-folder.*g\+\+"
    ):
        require_compiler("inductor", "cpu", "encoding.compile")

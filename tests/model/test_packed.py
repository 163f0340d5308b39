"""The padding-free forward against the padded one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens
from ance.model.batching import pack
from ance.model.packed import PackedEncoder
from ance.model.padded import PaddedEncoder
from tests.model.conftest import Start

CPU = torch.device("cpu")
KINDS = ["bert", "bert-tanh", "roberta", "xlm-roberta"]


def _special(kind: str) -> SpecialTokens:
    return SpecialTokens((1,), (2,), 0) if kind.startswith("bert") else SpecialTokens((0,), (2,), 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("order", ["sorted", "unsorted"])
def test_vectors_equal_those_of_the_padded_forward(
    start: Start, tokens: Ragged, kind: str, pooling: str, order: str
) -> None:
    model = start(kind, pooling=pooling, projection_dim=16, normalize=pooling == "mean")
    rows = np.argsort(tokens.lengths) if order == "sorted" else np.arange(len(tokens))
    batch = pack(tokens, rows, _special(kind), 38)
    padded = PaddedEncoder(model, _special(kind).pad_id, device=CPU, dtype=torch.float32)(*batch)
    packed = PackedEncoder(model, device=CPU, dtype=torch.float32)(*batch)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_padding_token_spelled_in_a_text_counts_as_in_the_padded_forward(start: Start, kind: str) -> None:
    special = _special(kind)
    model = start(kind, pooling="mean")
    batch = pack(Ragged(np.array([5, special.pad_id, 6, 7, 8]), np.array([0, 4, 5])), np.array([0, 1]), special, 38)
    padded = PaddedEncoder(model, special.pad_id, device=CPU, dtype=torch.float32)(*batch)
    torch.testing.assert_close(
        PackedEncoder(model, device=CPU, dtype=torch.float32)(*batch), padded, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bfloat16_stays_close_to_float32(start: Start, tokens: Ragged, pooling: str) -> None:
    model = start("bert", pooling=pooling, projection_dim=16)
    batch = pack(tokens, np.arange(len(tokens)), _special("bert"), 38)
    exact, rounded = (PackedEncoder(model, device=CPU, dtype=d)(*batch) for d in (torch.float32, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert torch.cosine_similarity(exact, rounded).min() > 0.999


def test_on_a_cpu_products_have_few_numbers_of_rows_and_one_query_is_not_ten(start: Start) -> None:
    rows = PackedEncoder(start("bert"), device=torch.device("cpu"), dtype=torch.bfloat16)._rows
    given = [rows(needed) for needed in range(1, 4097)]
    assert all(needed <= got < max(17, 2 * needed, needed + 128) for needed, got in enumerate(given, 1))
    assert rows(12) == 16 and rows(17) == 32 and rows(200) == rows(256) == 256 and rows(257) == 384
    assert len(set(given)) <= 36


def test_the_weights_are_copies(start: Start, tokens: Ragged) -> None:
    model = start("bert", projection_dim=16)
    batch = pack(tokens, np.arange(4), _special("bert"), 38)
    encoder = PackedEncoder(model, device=CPU, dtype=torch.float32)
    before = encoder(*batch)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(encoder(*batch), before, rtol=0, atol=0)


def test_other_architectures_are_not_supported(start: Start) -> None:
    assert PackedEncoder.supports(start("roberta"))
    assert not PackedEncoder.supports(start("distilbert"))

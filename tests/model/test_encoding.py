"""Encoding a token store and live texts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from ance.data.ragged import Ragged
from ance.data.tokenizer import SpecialTokens, Tokenizer
from ance.errors import AnceError
from ance.model.batching import collate
from ance.model.encoding import EncodingStopped, TextEncoder
from tests.model.conftest import TEXTS, Start

SPECIAL = SpecialTokens((1,), (2,), 0)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize("budget", [1, 64, 4096])
def test_rows_come_back_in_order_whatever_the_batches(start: Start, tokens: Ragged, kind: str, budget: int) -> None:
    model = start(kind, pooling="mean")
    vectors = TextEncoder(model, SPECIAL, token_budget=budget).encode_rows(tokens, 3, 17, 32)
    with torch.no_grad():
        expected = torch.cat([model(*collate(tokens, np.array([row]), SPECIAL, 32)) for row in range(3, 17)])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected.numpy(), atol=1e-5)


def test_any_rows_can_be_asked_for(start: Start, tokens: Ragged) -> None:
    encoder = TextEncoder(start("bert", projection_dim=16), SPECIAL)
    rows = np.array([7, 2, 2, 30])
    everything = encoder.encode_rows(tokens, 0, len(tokens), 32)
    np.testing.assert_allclose(encoder.encode_rows_at(tokens, rows, 32), everything[rows], atol=1e-5)
    assert encoder.encode_rows(tokens, 5, 5, 32).shape == (0, encoder.dim) == (0, 16)


def test_live_texts_get_the_vectors_of_their_stored_tokens(start: Start, tmp_path: Path) -> None:
    start("roberta", pooling="mean").save(tmp_path)
    content = Tokenizer.load(tmp_path).encode(TEXTS, 32)
    tokens = Ragged(np.concatenate(content).astype(np.uint16), np.cumsum([0, *map(len, content)]))
    encoder = TextEncoder.load(tmp_path)
    np.testing.assert_allclose(
        encoder.encode_texts(TEXTS, 16), encoder.encode_rows(tokens, 0, len(TEXTS), 16), atol=1e-5
    )


def test_every_batch_is_reported(start: Start, tokens: Ragged) -> None:
    reports: list[tuple[int, int, float]] = []
    encoder = TextEncoder(start("bert"), SPECIAL, token_budget=100)
    encoder.encode_rows(tokens, 0, len(tokens), 32, on_batch=lambda *report: reports.append(report))
    rows, token_counts, seconds = (sum(column) for column in zip(*reports, strict=True))
    assert rows == len(tokens)
    assert token_counts == np.minimum(tokens.lengths + 2, 32).sum()
    assert seconds > 0


def test_encoding_stops_between_batches(start: Start, tokens: Ragged) -> None:
    encoder = TextEncoder(start("bert"), SPECIAL, token_budget=100)
    answers = iter([False, False, True])
    done: list[int] = []
    with pytest.raises(EncodingStopped):
        encoder.encode_rows(
            tokens, 0, 40, 32, should_stop=lambda: next(answers), on_batch=lambda rows, *_: done.append(rows)
        )
    assert len(done) == 2


def test_several_threads_may_share_an_encoder(start: Start, tmp_path: Path) -> None:
    start("bert").save(tmp_path)
    encoder = TextEncoder.load(tmp_path)
    expected = encoder.encode_texts(TEXTS, 16)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: encoder.encode_texts(TEXTS, 16), range(16)):
            np.testing.assert_array_equal(vectors, expected)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=f"{tmp_path}/none: no modules.json"):
        TextEncoder.load(tmp_path / "none")


def test_a_batch_that_does_not_fit_the_memory_is_encoded_in_halves(
    monkeypatch: pytest.MonkeyPatch, start: Start, tokens: Ragged
) -> None:
    encoder = TextEncoder(start("bert"), SPECIAL)
    expected = encoder.encode_rows(tokens, 0, len(tokens), 32)
    forward, most = encoder._forward, 2

    def small(ids: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
        if len(lengths) > most:
            raise torch.OutOfMemoryError
        return forward(ids, lengths)

    monkeypatch.setattr(encoder, "_forward", small)
    halved: list[None] = []
    found = encoder.encode_rows(tokens, 0, len(tokens), 32, on_out_of_memory=lambda: halved.append(None))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert halved

    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        encoder.encode_rows(tokens, 0, len(tokens), 32)

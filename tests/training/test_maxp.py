"""Training with passages in chunks: scores are maxima, and so are their gradients."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ance.model.bi_encoder import BiEncoder
from ance.model.chunks import Chunking
from ance.negatives.sources import NoNegatives, RandomNegatives
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.data_parallel import DataParallel
from ance.training.last_layer import in_batch_last_layer_norms, last_layer_norms
from ance.training.losses import hardest_in_batch_nll, in_batch_nll, pairwise_nll
from ance.training.maxp import nearest, side_by_side, similarities
from ance.training.optimisers import build_optimiser
from ance.training.step import TrainingStep, TrainingTexts
from tests.training.test_step import model

__all__ = ["model"]

CONTENT, MOST = 9, 3  # of passages of up to 40 tokens: one to three chunks, and some are cut


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def chunked(texts: TrainingTexts) -> TrainingTexts:
    return replace(texts, max_passage_tokens=CONTENT + 2, chunking=Chunking(CONTENT, MOST))


def chunks_by_hand(model: BiEncoder, texts: TrainingTexts, row: int) -> torch.Tensor:
    """The vectors of a passage's chunks, each encoded alone: float [chunks, D]."""
    content = texts.passages[row][: CONTENT * MOST].astype(np.int64)
    found = []
    for start in range(0, len(content), CONTENT):
        ids = torch.tensor([[1, *content[start : start + CONTENT].tolist(), 2]])
        found.append(model(ids, torch.ones_like(ids)))
    return torch.cat(found)


def loss_by_hand(model: BiEncoder, texts: TrainingTexts, batch: TrainingBatch, kind: str) -> torch.Tensor:
    """The definition: s(q, d) = max over the chunks of d, then the loss on scores."""
    rows = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
    passages = [chunks_by_hand(model, texts, int(row)) for row in rows]
    losses, size, each = [], len(batch.query_rows), batch.negative_rows.shape[1]
    for number, query_row in enumerate(batch.query_rows):
        content = texts.queries[int(query_row)][: texts.max_query_tokens - 2].astype(np.int64)
        ids = torch.tensor([[1, *content.tolist(), 2]])
        query = model.queries(ids, torch.ones_like(ids))[0]
        scores = torch.stack([(chunks @ query).max() for chunks in passages])
        others = scores.masked_fill(torch.from_numpy(batch.known_positives[number]), -torch.inf)
        if kind == "in_batch":
            losses.append(others.logsumexp(0) - scores[number])
        elif kind == "hardest_in_batch":
            others = torch.cat([others[:number], others[number + 1 :]])
            losses.append(torch.nn.functional.softplus(others.max() - scores[number]))
        else:
            first = size + number * each
            own = scores[first : first + each]
            losses.append(torch.nn.functional.softplus(own - scores[number]).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("kind", ["pairwise", "in_batch", "hardest_in_batch"])
def test_the_loss_and_its_gradients_are_those_of_the_best_chunks(
    model, chunked, configured, stream: TrainingBatches, negatives: RandomNegatives, kind
) -> None:
    batches = stream.batch(0, negatives)
    expected = torch.stack([loss_by_hand(model, chunked, batch, kind) for batch in batches]).mean()
    gradients = torch.autograd.grad(expected, list(model.parameters()))
    config = configured(max_grad_norm=0)
    step = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config)
    result = step.run(0, batches, loss=kind, learning_rate=0.0)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-3)
    assert all(np.isfinite(result.instance_bounds["drawn"])) and len(result.instance_bounds["drawn"]) == 16


def test_tokens_of_all_chunks_are_counted_and_none_of_padding(
    model, chunked, configured, stream: TrainingBatches, negatives: RandomNegatives
) -> None:
    expected = 0
    for batch in stream.batch(0, negatives):
        rows = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        lengths = np.minimum(chunked.passages.lengths[rows], CONTENT * MOST)
        expected += int((lengths + 2 * -(-lengths // CONTENT)).sum())
        expected += int(np.minimum(chunked.queries.lengths[batch.query_rows] + 2, 6).sum())
    config = configured()
    step = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config)
    assert step.run(0, stream.batch(0, negatives), loss="in_batch", learning_rate=1e-3).tokens == expected


def test_in_batch_negatives_alone_will_do(model, chunked, configured, stream: TrainingBatches) -> None:
    config = configured()
    step = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config)
    result = step.run(0, stream.batch(0, NoNegatives()), loss="in_batch", learning_rate=1e-3)
    assert 0 < result.loss < 10
    assert len(result.instance_bounds["in_batch"]) > 0


def test_grad_cache_changes_nothing(
    new_model, chunked, configured, stream: TrainingBatches, negatives: RandomNegatives
) -> None:
    losses = []
    for chunk in (None, 3):
        model, config = new_model(), configured(grad_cache_chunk=chunk, dropout=0.0)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        step = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config)
        losses.append(
            [step.run(n, stream.batch(n, negatives), loss="in_batch", learning_rate=1e-3).loss for n in range(3)]
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_chunks_lie_side_by_side_and_a_short_passage_repeats_its_last() -> None:
    flat = torch.arange(6.0)[:, None]
    found = side_by_side(flat, np.array([1, 3, 2]), 3)[:, :, 0]
    assert found.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 5]]


def test_a_repeated_chunk_gets_the_gradient_of_one() -> None:
    query, chunks = vectors(2, 4), vectors(3, 4, seed=1).requires_grad_()
    counts = np.array([1, 2])
    padded = torch.autograd.grad(similarities(query, side_by_side(chunks, counts, 4)).sum(), chunks)[0]
    products = query @ chunks.T
    plain = torch.autograd.grad(products[:, 0].sum() + products[:, 1:].amax(1).sum(), chunks)[0]
    torch.testing.assert_close(padded, plain)


def test_one_vector_each_is_an_inner_product() -> None:
    query, passages = vectors(3, 4), vectors(5, 4, seed=1)
    torch.testing.assert_close(similarities(query, passages[:, None]), similarities(query, passages))
    for nll in (in_batch_nll, hardest_in_batch_nll):
        known = torch.zeros(3, 5, dtype=torch.bool)
        torch.testing.assert_close(nll(query, passages[:, None], known), nll(query, passages, known))


def test_the_nearest_vectors_have_the_largest_products() -> None:
    query, passages = vectors(3, 4), vectors(3, 5, 2, 4, seed=1)
    found = nearest(query, passages)
    products = torch.einsum("bd,bnmd->bnm", query, passages)
    torch.testing.assert_close(torch.einsum("bd,bnd->bn", query, found), products.amax(-1))
    assert torch.isfinite(pairwise_nll(query, found[:, 0], found[:, 1:]))


def test_the_next_querys_positive_is_taken_by_its_best_chunk_for_this_query() -> None:
    query, positive = vectors(3, 8), vectors(3, 2, 8, seed=1)
    found = in_batch_last_layer_norms(query, positive, torch.zeros(3, 3, dtype=torch.bool))
    for row, following in ((0, 1), (1, 2), (2, 0)):
        own, other = (chunks[(chunks @ query[row]).argmax()] for chunks in (positive[row], positive[following]))
        expected = last_layer_norms(query[row : row + 1], own[None], other[None, None])
        assert found[row] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("kind", ["pairwise", "in_batch"])
def test_two_towers_learn_from_their_own_texts(
    new_model: Callable[[], BiEncoder], texts, configured, stream: TrainingBatches, negatives: RandomNegatives, kind
) -> None:
    passage, query = new_model(), new_model()
    with torch.no_grad():
        for weights in query.parameters():
            weights.add_(0.05)
    model = BiEncoder(passage.backbone, projection_dim=8, tokenizer_path=passage.tokenizer_path, query_tower=query)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    chunked = replace(texts, max_passage_tokens=CONTENT + 2, chunking=Chunking(CONTENT, MOST))
    model.eval()
    batches = stream.batch(0, negatives)
    expected = torch.stack([loss_by_hand(model, chunked, batch, kind) for batch in batches]).mean()
    config = configured(max_grad_norm=0)
    result = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config).run(
        0, batches, loss=kind, learning_rate=0.0
    )
    assert result.loss == pytest.approx(expected.item(), rel=1e-4)
    norms = result.gradient_norms
    for tower in ("query", "passage"):
        assert all(norms[f"{tower}.{group}"] > 0 for group in ("embeddings", "bottom", "middle", "top", "head"))
    squares = sum(norm**2 for name, norm in norms.items() if name != "global")
    assert norms["global"] == pytest.approx(squares**0.5, rel=1e-4)


def test_a_part_without_peers_shares_passages_in_chunks(model, chunked, configured) -> None:
    config = configured()
    step = TrainingStep(model, build_optimiser(model, config, 1e-3), chunked, config, DataParallel())
    passages = vectors(6, 3, 8)
    assert step._shared(passages, 2).shape == (6, 3, 8)

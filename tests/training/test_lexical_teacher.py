from collections.abc import Callable

import numpy as np
import pytest

from ance.model.bi_encoder import BiEncoder
from ance.negatives.sources import RandomNegatives
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.config import TrainingConfig
from ance.training.lexical_teacher import LexicalTeacher
from ance.training.optimisers import build_optimiser
from ance.training.step import TrainingStep, TrainingTexts
from tests.training.conftest import lexical_teacher


def first_batch(stream: TrainingBatches, negatives: RandomNegatives) -> TrainingBatch:
    return stream.batch(0, negatives)[0]


def test_logits_are_scaled_scores_of_the_passages_and_a_bonus_for_the_one_judged(
    stream: TrainingBatches, negatives: RandomNegatives
) -> None:
    batch = first_batch(stream, negatives)
    alone = lexical_teacher(scale=1.0, judged=0.0).logits(batch)
    assert alone.shape == batch.known_positives.shape and alone.dtype == np.float32
    assert (alone > 0).any() and (alone == 0).any()

    raised = lexical_teacher(scale=0.5, judged=2.0).logits(batch) - 0.5 * alone

    expected = np.zeros_like(alone)
    np.fill_diagonal(expected, 2.0)
    np.testing.assert_allclose(raised, expected, atol=1e-6)


def test_a_part_of_a_batch_has_the_logits_of_its_rows_and_passages(
    stream: TrainingBatches, negatives: RandomNegatives
) -> None:
    batch, teacher = first_batch(stream, negatives), lexical_teacher()
    whole = teacher.logits(batch)
    shared = [teacher.logits(batch.part(rank, 2, shared=True)) for rank in range(2)]
    np.testing.assert_array_equal(np.concatenate(shared), whole)
    # Of 4 positives the last 2, and of 4 x 2 negatives those of the last 2 queries.
    own = teacher.logits(batch.part(1, 2, shared=False))
    np.testing.assert_array_equal(own, whole[2:][:, [2, 3, 8, 9, 10, 11]])


Train = Callable[..., list[float]]


@pytest.fixture
def train(
    new_model: Callable[..., BiEncoder],
    texts: TrainingTexts,
    configured: Callable[..., TrainingConfig],
    stream: TrainingBatches,
    negatives: RandomNegatives,
) -> Train:
    """Trains the same model on the first batch again and again: the loss of each step."""

    def run(teacher: LexicalTeacher | None, *, steps: int, learning_rate: float, **changes: float) -> list[float]:
        model, config, batches = new_model(dropout=0.0), configured(**changes), stream.batch(0, negatives)
        optimiser = build_optimiser(model, config, learning_rate)
        step = TrainingStep(model, optimiser, texts, config, lexical_teacher=teacher)
        return [step.run(0, batches, loss="in_batch", learning_rate=learning_rate).loss for _ in range(steps)]

    return run


def test_the_divergence_is_added_to_the_loss_with_its_weight(train: Train) -> None:
    without, once, twice = (
        train(teacher, steps=1, learning_rate=1e-3, score_scale=0.5)[0]
        for teacher in (None, lexical_teacher(), lexical_teacher(weight=2.0))
    )
    assert once - without > 0.01
    np.testing.assert_allclose(twice - without, 2 * (once - without), rtol=1e-4)


def test_a_model_comes_to_prefer_what_shares_words(train: Train) -> None:
    """Queries and passages have nothing in common but what the teacher says of them."""
    teacher = lexical_teacher(weight=10.0, scale=3.0, judged=0.0)
    losses = train(teacher, steps=60, learning_rate=1e-2, max_grad_norm=0.0)
    assert losses[-1] < 0.8 * losses[0]

from collections.abc import Callable

import numpy as np

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


def test_the_divergence_is_added_to_the_loss_with_its_weight(
    new_model: Callable[..., BiEncoder],
    texts: TrainingTexts,
    configured: Callable[..., TrainingConfig],
    stream: TrainingBatches,
    negatives: RandomNegatives,
) -> None:
    batches, config = stream.batch(0, negatives), configured(score_scale=0.5)

    def loss(teacher: LexicalTeacher | None) -> float:
        model = new_model(dropout=0.0)
        step = TrainingStep(model, build_optimiser(model, config, 1e-3), texts, config, lexical_teacher=teacher)
        return step.run(0, batches, loss="in_batch", learning_rate=0.0).loss

    without, once, twice = (loss(teacher) for teacher in (None, lexical_teacher(), lexical_teacher(weight=2.0)))
    assert once - without > 0.01
    np.testing.assert_allclose(twice - without, 2 * (once - without), rtol=1e-4)


def test_a_model_comes_to_prefer_what_shares_words(
    new_model: Callable[..., BiEncoder],
    texts: TrainingTexts,
    configured: Callable[..., TrainingConfig],
    stream: TrainingBatches,
    negatives: RandomNegatives,
) -> None:
    """Queries and passages have nothing in common but what the teacher says of them."""
    config, teacher = configured(max_grad_norm=0.0), lexical_teacher(weight=10.0, scale=3.0, judged=0.0)
    model = new_model(dropout=0.0)
    step = TrainingStep(model, build_optimiser(model, config, 1e-2), texts, config, lexical_teacher=teacher)
    losses = [step.run(0, stream.batch(0, negatives), loss="in_batch", learning_rate=1e-2).loss for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]

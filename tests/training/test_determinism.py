from dataclasses import replace

import numpy as np
import pytest
import torch

from ance.errors import AnceError
from ance.negatives.sources import RandomNegatives
from ance.training.batches import TrainingBatches
from ance.training.config import TrainingConfig
from ance.training.determinism import WORKSPACE, be_deterministic
from ance.training.optimisers import build_optimiser
from ance.training.preparation import prepare_for_training
from ance.training.step import TrainingStep
from tests.ranks import together
from tests.training.conftest import (
    PASSAGES,
    STAGE,
    overlapping_qrels,
    random_texts,
    random_training_texts,
    small_model,
)

STEPS = 4


pytestmark = pytest.mark.usefixtures("as_deterministic_as_before")


def test_an_algorithm_that_is_not_deterministic_is_refused_from_then_on(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    values, rows = torch.zeros(4), torch.tensor([0, 0, 1])
    values.put_(rows, torch.ones(3))
    be_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="deterministic"):
        values.put_(rows, torch.ones(3))


def test_a_workspace_that_spoils_it_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(AnceError, match=f"{WORKSPACE} is ':0:0': unset it"):
        be_deterministic()


def trained(folder, device, longest, drawn):
    """Losses and weights of a few deterministic steps, where other random numbers were `drawn` before."""
    be_deterministic()
    qrels = overlapping_qrels()
    config = TrainingConfig(warmup=STAGE, ance=STAGE, batch_size=8, negatives_per_query=2, dtype="bfloat16")
    passages = random_texts(np.random.default_rng(1), PASSAGES, longest)
    texts = replace(random_training_texts(), passages=passages, max_passage_tokens=longest)
    model = prepare_for_training(small_model(folder, longest=longest), 0.1, device)
    batches, negatives = TrainingBatches(qrels, config), RandomNegatives(PASSAGES, qrels)
    step = TrainingStep(model, build_optimiser(model, config, 1e-3), texts, config)
    torch.manual_seed(drawn)
    losses = [
        step.run(number, batches.batch(number, negatives), loss="in_batch", learning_rate=1e-3).loss
        for number in range(STEPS)
    ]
    return losses, {name: weight.cpu().numpy() for name, weight in model.state_dict().items()}


def trained_twice(folder, device, longest):
    return [trained(folder, device, longest, drawn) for drawn in range(2)]


def assert_same_bits(one, other):
    (losses, weights), (others, found) = one, other
    assert losses == others and len(set(losses)) == STEPS
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(found[name], weight, err_msg=name)


def test_two_deterministic_runs_in_bfloat16_have_the_same_bits(tmp_path):
    assert_same_bits(*trained_twice(tmp_path, "cpu", longest=32))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_two_deterministic_runs_on_a_gpu_have_the_same_bits_too(tmp_path):
    # In a process of their own, as cuBLAS must be told before anything is on the GPU. And with passages so long that
    # the gradients of attention are added up in parts, in any order unless told otherwise.
    (runs,) = together(trained_twice, tmp_path, "cuda", 384, size=1)
    assert_same_bits(*runs)

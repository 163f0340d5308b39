"""A batch that is encoded in chunks is the same batch, in less memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ance.training import step as step_module
from ance.training.grad_cache import chunks
from ance.training.preparation import prepare_for_training
from ance.training.step import StepResult
from tests.training.test_data_parallel import World

Gradients = Callable[..., tuple[StepResult, dict[str, Tensor]]]
LOSSES = ("pairwise", "in_batch", "hardest_in_batch")


@pytest.fixture
def gradients(tmp_path: Path) -> Gradients:
    """Makes a step of a new model, and gives its result and the gradient of every weight."""

    def make(loss: str, *, dropout: float = 0.0, **changes: object) -> tuple[StepResult, dict[str, Tensor]]:
        world = World(tmp_path, dropout=dropout, loss=loss, batch_size=8, max_grad_norm=0, **changes)
        result = world.run(3)
        found = {name: weight.grad for name, weight in world.model.named_parameters() if weight.grad is not None}
        return result, found

    return make


def test_chunks_are_groups_cut_in_order_and_none_is_larger_than_asked_for() -> None:
    groups = [np.array([4, 0, 3]), np.array([1, 5, 2, 6])]
    assert [part.tolist() for part in chunks(groups, 2)] == [[4, 0], [3], [1, 5], [2, 6]]
    assert [part.tolist() for part in chunks(groups, 9)] == [group.tolist() for group in groups]
    assert [part.tolist() for part in chunks(groups, None)] == [group.tolist() for group in groups]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chunk", [1, 3])
def test_loss_and_gradients_are_those_of_the_whole_batch(gradients: Gradients, loss: str, chunk: int) -> None:
    whole, expected = gradients(loss)
    cached, found = gradients(loss, grad_cache_chunk=chunk)
    assert cached.loss == pytest.approx(whole.loss, rel=1e-5)
    assert cached.tokens == whole.tokens
    assert cached.gradient_norms["global"] == pytest.approx(whole.gradient_norms["global"], rel=1e-4)
    assert cached.instance_bounds["drawn"] == pytest.approx(whole.instance_bounds["drawn"], rel=1e-4)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_both_passes_through_a_chunk_drop_out_the_same_units(
    gradients: Gradients, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached, found = gradients("in_batch", dropout=0.5, grad_cache_chunk=3)
    monkeypatch.setattr(step_module, "forgetting", lambda forward: forward)
    remembered, expected = gradients("in_batch", dropout=0.5, grad_cache_chunk=3)
    assert cached.loss == remembered.loss
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    assert gradients("in_batch", dropout=0.0)[0].loss != cached.loss


@pytest.mark.parametrize("layers_too", [False, True])
def test_memory_is_that_of_a_chunk_and_not_that_of_the_batch(tmp_path: Path, layers_too: bool) -> None:
    peaks = {}
    for chunk in (None, 4):
        world = World(tmp_path, loss="in_batch", batch_size=16, gradient_accumulation=1, grad_cache_chunk=chunk)
        if layers_too and chunk is not None:
            prepare_for_training(world.model, None, "cpu", checkpointing=True)
        world.run(0)  # makes what the optimiser keeps
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            world.run(1)
        peaks[chunk] = peak_bytes(profiled)
    assert peaks[4] < peaks[None] / 4, "48 passages at once, against 4"


def peak_bytes(profiled: profile) -> int:
    """Most bytes that tensors made in the profiled block had at once."""
    results = profiled.profiler.kineto_results  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]")
    return max(accumulate(size for _, size in changes))

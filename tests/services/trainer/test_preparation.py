"""What run.yaml asks for beside the batches is there when the trainer makes its steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from redis import Redis
from torch.nn.modules.module import register_module_forward_hook
from transformers.models.bert.modeling_bert import BertAttention

from ance.runtime.shutdown import Shutdown
from tests.services.conftest import NewRun
from tests.services.service_run import background
from tests.services.trainer.process import TrainerProcess, series
from tests.services.trainer.test_adore import refresh
from tests.services.trainer.test_loop import stage, training

STEPS = 2
PLAN = training(stage(STEPS, "random"), stage(0, "random"))
TRIAL = 1
"""Graphs that are compiled only to see whether the compiler works."""


@pytest.mark.usefixtures("as_deterministic_as_before")
@pytest.mark.parametrize("deterministic", [False, True])
def test_steps_use_deterministic_algorithms_where_the_run_asks_for_them(
    new_run: NewRun, client: Redis, shutdown: Shutdown, deterministic: bool
) -> None:
    found = []
    TrainerProcess(new_run(training={**PLAN, "deterministic": deterministic}), client, shutdown).run(
        after_step=lambda step: found.append(torch.are_deterministic_algorithms_enabled())
    )
    assert found == [deterministic] * STEPS


def test_with_gradient_checkpointing_each_layer_runs_twice_a_step(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    def runs(checkpointing: bool) -> int:
        layers = []
        run = new_run(training={**PLAN, "gradient_checkpointing": checkpointing})
        with register_module_forward_hook(lambda module, *_: layers.append(isinstance(module, BertAttention))):
            TrainerProcess(run, client, shutdown).run()
        return sum(layers)

    assert runs(checkpointing=True) == 2 * runs(checkpointing=False) > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its compiler
def test_a_compiled_run_compiles_its_encoder_and_has_the_losses_of_one_that_is_not(
    new_run: NewRun, client: Redis, shutdown: Shutdown, compiled_graphs: Callable[[], int]
) -> None:
    def losses(backend: str | None) -> list[float]:
        run = new_run(training={**PLAN, "dropout": 0.0, "compile": backend})
        TrainerProcess(run, client, shutdown).run()
        return [record["loss"] for record in series(run)]

    expected = losses(None)
    assert compiled_graphs() == 0
    assert losses("eager") == pytest.approx(expected, rel=1e-4)
    assert compiled_graphs() > TRIAL


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_copy_that_learns_queries_is_compiled_too(
    new_run: NewRun, client: Redis, shutdown: Shutdown, compiled_graphs: Callable[[], int]
) -> None:
    plan = training(stage(0, "random"), {**stage(STEPS, "adore"), "loss": "in_batch"}, compile="eager")
    run = new_run(training=plan)
    with background(lambda: refresh(run), stop=lambda: None):
        TrainerProcess(run, client, shutdown).run()
    assert compiled_graphs() > TRIAL

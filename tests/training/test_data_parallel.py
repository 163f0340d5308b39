"""Two processes with half of each batch do what one process does with the whole."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from ance.errors import AnceError
from ance.model.chunks import FIRST_P, Chunking
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.negatives.sources import RandomNegatives
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.config import StageConfig, TrainingConfig
from ance.training.data_parallel import ALONE, DataParallel, PeerLost
from ance.training.optimisers import build_optimiser
from ance.training.state import TrainerState, load_state, save_state
from ance.training.step import NonFiniteLoss, StepResult, TrainingStep
from tests.ranks import together
from tests.training.conftest import (
    PASSAGES,
    QUERIES,
    lexical_teacher,
    overlapping_qrels,
    random_training_texts,
    small_model,
)

STEPS = 6
STAGE = StageConfig(steps=STEPS, learning_rate=3e-3, negatives="random")
CASES: dict[str, dict[str, Any]] = {
    "pairwise, clipped": {"loss": "pairwise", "optimizer": "adamw", "max_grad_norm": 0.05},
    "in batch": {"loss": "in_batch", "optimizer": "adamw", "weight_decay": 0.01},
    "in batch, LAMB": {"loss": "in_batch", "optimizer": "lamb", "gradient_accumulation": 1},
    "in batch, in chunks": {"loss": "in_batch", "optimizer": "adamw", "grad_cache_chunk": 3},
    "hardest in batch": {"loss": "hardest_in_batch", "optimizer": "adamw", "max_grad_norm": 0.05},
    "MaxP, in batch": {"loss": "in_batch", "optimizer": "adamw", "chunking": Chunking(9, 3)},
    "MaxP": {"loss": "pairwise", "optimizer": "adamw", "chunking": Chunking(9, 3)},
    "LambdaRank": {"loss": "lambda_rank", "optimizer": "adamw"},
    "in batch, lexical teacher": {"loss": "in_batch", "optimizer": "adamw", "lexical_teacher": True},
    "Margin-MSE": {"loss": "margin_mse", "optimizer": "adamw", "max_grad_norm": 0.05},
}


class World:
    """A model and the batches it is trained on: the same ones in every process."""

    def __init__(self, folder: Path, parallel: DataParallel = ALONE, dropout: float = 0.0, **changes: Any) -> None:
        self.loss, chunking = changes.pop("loss", "pairwise"), changes.pop("chunking", FIRST_P)
        lexical = lexical_teacher() if changes.pop("lexical_teacher", False) else None
        # A gradient that is 0 but for rounding, as that of the keys' biases, is a step of full length to Adam but for
        # epsilon.
        settings = {"batch_size": 4, "gradient_accumulation": 2, "negatives_per_query": 2, "adam_epsilon": 1e-4}
        settings |= changes
        self.config = TrainingConfig(warmup=STAGE, ance=STAGE, **settings)
        qrels, longest = overlapping_qrels(), chunking.content + 2 if chunking.most > 1 else 32
        self.texts = replace(random_training_texts(), chunking=chunking, max_passage_tokens=longest)
        self.teacher = every_pair_scored() if self.loss == "margin_mse" else None
        self.batches, self.negatives = TrainingBatches(qrels, self.config), RandomNegatives(PASSAGES, qrels)
        # Weights so far apart that texts differ, and that their gradients are far above rounding.
        self.model = small_model(folder, dropout=dropout, spread=0.2, pooling="mean")
        self.optimiser = build_optimiser(self.model, self.config, 3e-3)
        self.step = TrainingStep(self.model, self.optimiser, self.texts, self.config, parallel, lexical_teacher=lexical)

    def run(self, step: int, batches: list[TrainingBatch] | None = None) -> StepResult:
        batches = batches or self.batches.batch(step, self.negatives, self.teacher)
        return self.step.run(step, batches, loss=self.loss, learning_rate=3e-3)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.detach().numpy().copy() for name, value in self.model.state_dict().items()}


def every_pair_scored() -> PairScores:
    queries, passages = np.arange(QUERIES), np.tile(np.arange(PASSAGES), (QUERIES, 1))
    pairs = pairs_of(queries, passages).ravel()
    return PairScores.of(pairs, np.random.default_rng(3).standard_normal(len(pairs)).astype(np.float32))


def curve(world: World, steps: range = range(STEPS)) -> dict[str, Any]:
    results = [world.run(step) for step in steps]
    return {
        "loss": [result.loss for result in results],
        "norm": [result.gradient_norms["global"] for result in results],
        "tokens": [result.tokens for result in results],
        "weights": world.weights,
    }


def on_each_rank(folder: Path) -> dict[str, Any]:
    """Everything that the tests ask two processes for, in one go."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=size, timeout=timedelta(seconds=30)
    )
    parallel = DataParallel(rank, size)
    found: dict[str, Any] = {name: curve(World(folder, parallel, **case)) for name, case in CASES.items()}
    found["own part"] = curve(World(folder, parallel, loss="in_batch", cross_device_negatives=False))
    found["resumed"] = straight_and_resumed(folder, parallel)
    found["masks"] = [twins(World(folder, parallel, dropout)) for dropout in (0.0, 0.5)]
    found["non-finite"] = diverging(World(folder, parallel), on_this_rank=rank == 1)
    dist.barrier()
    found["lost"] = after_the_death_of_rank_1(World(folder, parallel), rank)
    return found


def straight_and_resumed(folder: Path, parallel: DataParallel) -> dict[str, Any]:
    straight = curve(World(folder, parallel, dropout=0.1))
    first = World(folder, parallel, dropout=0.1)
    losses = curve(first, range(3))["loss"]
    state = folder / f"state{parallel.rank}"
    save_state(state, TrainerState(step=3, stage="ance"), first.optimiser)
    second = World(folder, parallel, dropout=0.1)
    second.model.load_state_dict(first.model.state_dict())
    load_state(state, second.optimiser)
    torch.manual_seed(parallel.rank)
    rest = curve(second, range(3, STEPS))
    return {"straight": straight, "resumed": {**rest, "loss": losses + rest["loss"]}}


def twins(world: World) -> list[float]:
    """What a rank sees of a batch whose second half repeats the first."""
    (batch,) = world.batches.batch(0, world.negatives)[:1]
    half = batch.part(0, 2, shared=False)
    twice = TrainingBatch(
        *(np.concatenate([rows, rows]) for rows in (half.query_rows, half.positive_rows, half.negative_rows)),
        np.tile(half.known_positives, (2, 2)),
        np.tile(half.passage_rows, 2),
    )
    return world.run(0, [twice]).instance_bounds["drawn"]


def diverging(world: World, *, on_this_rank: bool) -> tuple[str, bool]:
    before = world.weights
    if on_this_rank:
        next(world.model.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    try:
        world.run(0)
    except NonFiniteLoss as error:
        return str(error), all((world.weights[name] == value).all() for name, value in before.items())
    return "finite", False


def after_the_death_of_rank_1(world: World, rank: int) -> tuple[float, bool] | None:
    if rank == 1:
        return None  # and ends
    before, started = world.weights, time.monotonic()
    with pytest.raises(PeerLost, match="gone"):
        for step in range(100):
            world.run(step)
    return time.monotonic() - started, all((world.weights[name] == value).all() for name, value in before.items())


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return together(on_each_rank, tmp_path_factory.mktemp("ranks"), seconds=120)


def assert_same_but_for_rounding(one: dict[str, Any], other: dict[str, Any]) -> None:
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-4)
    np.testing.assert_allclose(one["norm"], other["norm"], rtol=1e-3)
    assert one["tokens"] == other["tokens"]
    for name, weight in one["weights"].items():
        np.testing.assert_allclose(weight, other["weights"][name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_curve_and_the_weights_are_those_of_one_process(
    ranks: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    alone = curve(World(tmp_path, **CASES[name]))
    assert_same_but_for_rounding(ranks[0][name], alone)


@pytest.mark.parametrize("name", [*CASES, "own part"])
def test_all_ranks_have_the_same_weights_to_the_last_bit(ranks: list[dict[str, Any]], name: str) -> None:
    one, other = (rank[name] for rank in ranks)
    assert one["loss"] == other["loss"] and one["norm"] == other["norm"]
    assert all((one["weights"][weight] == value).all() for weight, value in other["weights"].items())


def test_without_cross_device_negatives_each_half_is_a_batch_of_its_own(
    ranks: list[dict[str, Any]], tmp_path: Path
) -> None:
    world = World(tmp_path, loss="in_batch")
    losses = []
    for step in range(STEPS):
        batches = world.batches.batch(step, world.negatives)
        halves = [batch.part(rank, 2, shared=False) for batch in batches for rank in range(2)]
        world.step = TrainingStep(world.model, world.optimiser, world.texts, replace_batch_size(world.config, 2))
        losses.append(world.run(step, halves).loss)
    assert np.allclose(ranks[0]["own part"]["loss"], losses, rtol=1e-4)
    assert not np.allclose(ranks[0]["own part"]["loss"], ranks[0]["in batch"]["loss"], rtol=1e-2)


def replace_batch_size(config: TrainingConfig, batch_size: int) -> TrainingConfig:
    return config.model_copy(update={"batch_size": batch_size})


def test_a_run_resumed_by_as_many_processes_is_bit_for_bit_the_undisturbed_one(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        straight, resumed = rank["resumed"]["straight"], rank["resumed"]["resumed"]
        assert resumed["loss"] == straight["loss"]
        assert all((resumed["weights"][name] == value).all() for name, value in straight["weights"].items())


def test_two_processes_go_on_where_one_has_stopped_with_the_batches_that_were_next(
    ranks: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The state of a rank is the state of any: what two leave is what one would have left."""
    alone = World(tmp_path, **CASES["in batch"])
    curve(alone, range(3))
    save_state(tmp_path, TrainerState(step=3, stage="ance"), alone.optimiser)
    resumed = World(tmp_path, **CASES["in batch"])
    resumed.model.load_state_dict(alone.model.state_dict())
    load_state(tmp_path, resumed.optimiser)
    losses = curve(resumed, range(3, STEPS))["loss"]
    assert np.allclose(losses, ranks[0]["in batch"]["loss"][3:], rtol=1e-4)


def test_ranks_drop_out_different_units(ranks: list[dict[str, Any]]) -> None:
    without, with_dropout = zip(*(rank["masks"] for rank in ranks), strict=True)
    assert np.allclose(*without, rtol=1e-4), "both ranks had the same texts"
    assert not np.allclose(*with_dropout, rtol=1e-2)


def test_a_gradient_that_is_not_finite_on_one_rank_leaves_the_step_out_on_all(ranks: list[dict[str, Any]]) -> None:
    for message, unchanged in (rank["non-finite"] for rank in ranks):
        assert "not finite in: embeddings" in message
        assert unchanged


def test_the_death_of_a_rank_is_noticed_soon_and_changes_no_weight(ranks: list[dict[str, Any]]) -> None:
    seconds, unchanged = ranks[0]["lost"]
    assert seconds < 10
    assert unchanged


def test_a_batch_that_cannot_be_shared_equally_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match=r"training\.batch_size \(4\).*3 cannot share it equally"):
        World(tmp_path, DataParallel(0, 3))


def test_a_part_of_one_query_has_no_negatives_of_its_own(tmp_path: Path) -> None:
    world, stage = World(tmp_path), STAGE.model_copy(update={"negatives": "in_batch", "loss": "in_batch"})

    def shared_by_two(**changes: object) -> TrainingStep:
        config = world.config.model_copy(update={"ance": stage, **changes})
        return TrainingStep(world.model, world.optimiser, world.texts, config, DataParallel(0, 2))

    with pytest.raises(AnceError, match=r"training\.batch_size \(2\) is one query for each of 2 processes"):
        shared_by_two(batch_size=2, cross_device_negatives=False)
    shared_by_two(batch_size=2)
    shared_by_two(batch_size=4, cross_device_negatives=False)
    shared_by_two(batch_size=2, cross_device_negatives=False, ance=STAGE)


def test_the_parts_of_a_batch_are_the_batch(tmp_path: Path) -> None:
    world = World(tmp_path)
    (batch,) = world.batches.batch(0, world.negatives)[:1]
    assert batch.part(0, 1, shared=True).known_positives.tolist() == batch.known_positives.tolist()
    parts = [batch.part(rank, 2, shared=True) for rank in range(2)]
    assert all((part.passage_rows == batch.passage_rows).all() for part in parts)
    for name in ("query_rows", "positive_rows", "negative_rows", "known_positives"):
        whole = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(whole, getattr(batch, name))
    assert [part.first_positive for part in parts] == [0, 2]


def test_what_is_masked_is_counted_among_the_passages_of_the_part_or_of_the_whole_batch(tmp_path: Path) -> None:
    world = World(tmp_path)
    (batch,) = world.batches.batch(0, world.negatives)[:1]
    everything = replace(batch, known_positives=np.ones_like(batch.known_positives))  # [4, 4 * (1 + 2)]
    assert everything.masked(1, shared=True) == everything.masked(1, shared=False) == 4 * 12
    assert everything.masked(2, shared=True) == 4 * 12
    assert everything.masked(2, shared=False) == 2 * (2 * 6)
    in_the_first_half = np.zeros_like(batch.known_positives)
    in_the_first_half[0, [1, 2]] = True  # the positives of queries 1 and 2: one of its own half, one of the other
    one = replace(batch, known_positives=in_the_first_half)
    assert (one.masked(2, shared=True), one.masked(2, shared=False)) == (2, 1)


def test_a_part_that_shares_nothing_knows_the_positives_among_its_own_passages(tmp_path: Path) -> None:
    world = World(tmp_path)
    (batch,) = world.batches.batch(0, world.negatives)[:1]
    known = np.random.default_rng(0).random(batch.known_positives.shape) < 0.5
    part = replace(batch, known_positives=known).part(1, 2, shared=False)
    # Of 4 positives the last 2, and of 4 x 2 negatives those of the last 2 queries.
    np.testing.assert_array_equal(part.known_positives, known[2:][:, [2, 3, 8, 9, 10, 11]])
    own = np.concatenate([part.positive_rows, part.negative_rows.ravel()])
    np.testing.assert_array_equal(part.passage_rows, own)
    assert part.first_positive == 0

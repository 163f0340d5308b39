"""A trainer's life: to the end of a run, interrupted, resumed, and fed with newer negatives on the way."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from redis import Redis

from ance.data.qrels import Qrels
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.runtime.contracts import ArtifactRef
from ance.runtime.layout import TRAINER_STATE
from ance.runtime.shutdown import Shutdown
from ance.training.state import read_state
from services.trainer.loop import TrainingInterrupted
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, wait_until
from tests.services.trainer.process import TrainerProcess, interrupt, same, series, weights
from tests.system.tiny import TRAIN


def stage(steps: int, negatives: str) -> dict[str, object]:
    return {"steps": steps, "learning_rate": 1e-3, "negatives": negatives}


def training(warmup: dict[str, object], ance: dict[str, object], **changes: object) -> dict[str, object]:
    return {"checkpoint_steps": 2, "max_async_gap": 0, "warmup": warmup, "ance": ance, **changes}


def newest(run: ServiceRun) -> ArtifactRef:
    ref = run.store.read_pointer(run.layout.pointer("checkpoint"))
    assert ref is not None
    return ref


@pytest.mark.parametrize(("negatives", "interrupted_after"), [("random", 3), ("bm25", 4)])
def test_a_resumed_run_ends_with_exactly_the_weights_of_an_undisturbed_one(
    new_run: NewRun, client: Redis, shutdown: Shutdown, negatives: str, interrupted_after: int
) -> None:
    # Step 4 ends the warm-up: the resumed run then begins a stage instead of continuing one.
    plan = training({**stage(4, negatives), "lr_warmup_steps": 2}, stage(2, "random"))
    straight, interrupted = new_run(training=plan), new_run(training=plan)
    TrainerProcess(straight, client, shutdown).run()

    interrupt(interrupted, client, interrupted_after)
    assert newest(interrupted).step == interrupted_after
    TrainerProcess(interrupted, client, shutdown).run()

    assert newest(interrupted).final and newest(interrupted).step == 6
    assert same(weights(interrupted, 6), weights(straight, 6))
    assert not same(weights(straight, 6), weights(straight, 4))
    for what in ("loss", "learning_rate"):  # the same batches, the same schedule
        assert [record[what] for record in series(interrupted)] == [record[what] for record in series(straight)]


@pytest.mark.parametrize(("negatives", "interrupted_after"), [("ance", 3), ("ance", 4), ("ance+random", 5)])
def test_with_one_version_of_the_negatives_a_resumed_run_is_exactly_an_undisturbed_one(
    new_run: NewRun, client: Redis, shutdown: Shutdown, negatives: str, interrupted_after: int
) -> None:
    plan = training(stage(2, "random"), stage(4, negatives))
    straight, interrupted = new_run(training=plan), new_run(training=plan)
    for run in (straight, interrupted):
        run.publish_negatives(2)
    TrainerProcess(straight, client, shutdown).run()

    interrupt(interrupted, client, interrupted_after)
    TrainerProcess(interrupted, client, shutdown).run()

    assert same(weights(interrupted, 6), weights(straight, 6))
    for what in ("loss", "async_gap"):
        assert [record[what] for record in series(interrupted)] == [record[what] for record in series(straight)]
    assert series(straight)[-1]["async_gap"] == 4


@pytest.mark.parametrize("interrupted_after", [3, 4, 5])
def test_stages_with_an_optimiser_of_their_own_resume_exactly_within_each_and_between_them(
    new_run: NewRun, client: Redis, shutdown: Shutdown, interrupted_after: int
) -> None:
    warmup = {**stage(4, "random"), "optimizer": "adamw", "lr_schedule": "cosine"}
    plan = training(warmup, {**stage(4, "random"), "optimizer": "lamb", "lr_decay_steps": 8})
    straight, interrupted = new_run(training=plan), new_run(training=plan)
    TrainerProcess(straight, client, shutdown).run()

    interrupt(interrupted, client, interrupted_after)
    TrainerProcess(interrupted, client, shutdown).run()

    assert same(weights(interrupted, 8), weights(straight, 8))
    assert [record["learning_rate"] for record in series(interrupted)] == [
        record["learning_rate"] for record in series(straight)
    ]
    folders = {
        step: interrupted.path(f"{interrupted.layout.checkpoint(step)}/{TRAINER_STATE}") for step in (2, 4, 6, 8)
    }
    kinds = {step: read_state(folder).optimizer for step, folder in folders.items()}
    assert kinds == {2: "AdamW", 4: "AdamW", 6: "Lamb", 8: "Lamb"}


def test_a_run_that_was_killed_repeats_the_steps_after_its_last_checkpoint_and_records_each_once(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=training(stage(6, "random"), stage(0, "random")))

    class Killed(Exception):
        pass

    def kill(step: int) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        TrainerProcess(run, client, shutdown).run(after_step=kill)
    assert newest(run).step == 2
    # As if it had died on SIGTERM between the segment of step 3 and its checkpoint.
    run.store.write(run.layout.series(3), b'{"step": 3}\n')
    TrainerProcess(run, client, shutdown).run()
    assert [record["step"] for record in series(run)] == [1, 2, 3, 4, 5, 6]


def test_sigterm_saves_a_checkpoint_that_is_announced_and_interrupts_training(new_run: NewRun, client: Redis) -> None:
    run = new_run(training=training(stage(6, "random"), stage(0, "random")))

    def terminate(step: int) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with Shutdown() as shutdown:
        process = TrainerProcess(run, client, shutdown)
        with pytest.raises(TrainingInterrupted, match="step 3"):
            process.run(after_step=terminate)
    assert newest(run).step == 3
    assert not newest(run).final
    assert not process.feed.announce(newest(run)), "it was announced already"


def test_a_trainer_that_has_lost_the_run_stops_without_a_checkpoint(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=training(stage(6, "random"), stage(0, "random")))
    process = TrainerProcess(run, client, shutdown)
    with pytest.raises(TrainingInterrupted, match="at step 3: the lease of the run is lost"):
        process.run(after_step=lambda step: process.lease.lost.set() if step == 3 else None)
    assert newest(run).step == 2


def test_each_trainer_publishes_under_a_higher_fencing_token_also_after_redis_was_flushed(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=training(stage(6, "random"), stage(0, "random")))
    interrupt(run, client, 3)
    before = newest(run).fencing_token
    client.flushall()
    TrainerProcess(run, client, shutdown).run()
    assert newest(run).fencing_token > before


def test_a_finished_run_is_left_as_it_is(new_run: NewRun, client: Redis, shutdown: Shutdown) -> None:
    run = new_run(training=training(stage(2, "random"), stage(0, "random")))
    TrainerProcess(run, client, shutdown).run()
    finished = newest(run)
    TrainerProcess(run, client, shutdown).run()
    assert newest(run) == finished
    assert [record["step"] for record in series(run)] == [1, 2]


def test_newer_negatives_are_taken_between_two_steps_and_the_async_gap_counts_from_their_checkpoint(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=training(stage(2, "random"), stage(6, "ance")))
    process = TrainerProcess(run, client, shutdown)

    def refresh(step: int) -> None:
        if step in (2, 4):  # the negatives of step 4 are there before step 5, those of step 6 never come
            run.publish_negatives(step, created_at=newest(run).created_at)
            wait_until(lambda: process.fresh.newest is not None and process.fresh.newest.step == step)

    process.run(after_step=refresh)
    records = series(run)
    assert [record["async_gap"] for record in records] == [None, None, 1, 2, 1, 2, 3, 4]
    assert [record["stage"] for record in records] == ["warmup"] * 2 + ["ance"] * 6
    assert all(record["async_gap_seconds"] > 0 for record in records[2:])
    assert process.metrics.registry.get_sample_value("ance_trainer_negatives_checkpoint_step") == 4
    state = read_state(run.path(f"{run.layout.checkpoint(8)}/{TRAINER_STATE}"))
    assert (state.step, state.stage, state.negatives_step) == (8, "ance", 4)


def test_a_checkpoint_saved_on_shutdown_says_which_negatives_were_in_use(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    run = new_run(training=training(stage(0, "random"), stage(6, "ance")))
    run.publish_negatives(0)
    with pytest.raises(TrainingInterrupted):
        TrainerProcess(run, client, shutdown).run(after_step=lambda step: shutdown.request() if step == 3 else None)
    assert read_state(run.path(f"{run.layout.checkpoint(3)}/{TRAINER_STATE}")).negatives_step == 0


def test_checkpoints_follow_their_schedule_and_end_each_stage(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    plan = training(stage(3, "random"), stage(5, "random"), checkpoint_steps="0:2,4:3")
    run = new_run(training=plan)
    process = TrainerProcess(run, client, shutdown)
    process.run()
    assert sorted(map(int, run.store.folders(f"{run.layout.root}/checkpoints"))) == [0, 2, 3, 4, 7, 8]
    assert process.metrics.registry.get_sample_value("ance_trainer_checkpoint_interval_steps") == 3


def test_known_positives_of_other_queries_in_a_batch_are_masked_and_counted(
    new_run: NewRun, client: Redis, shutdown: Shutdown, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(TRAIN)
    alike = Qrels.build(TRAIN, rows, np.zeros_like(rows), np.ones(TRAIN, np.int32))
    masked = {}
    for loss in ("in_batch", "pairwise"):
        run = new_run(training=training({**stage(2, "random"), "loss": loss}, stage(0, "random")))
        monkeypatch.setattr(run.dataset, "qrels", lambda split: alike)
        process = TrainerProcess(run, client, shutdown)
        process.run()
        masked[loss] = process.metrics.registry.get_sample_value("ance_trainer_negatives_masked_total")
    assert masked == {"in_batch": 2 * 8 * 7, "pairwise": 0}


def test_a_stage_learns_the_margins_that_were_published_with_its_negatives(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    distilling = {**stage(30, "ance"), "loss": "margin_mse", "teacher": {"cross_encoder": "whatever"}}
    run = new_run(training=training(stage(0, "random"), distilling, dropout=0.0))
    rows = np.arange(TRAIN)
    pairs = pairs_of(rows, np.stack([rows, np.full(TRAIN, 150)], axis=1))  # passage q answers query q
    preferred = np.tile(np.array([3.0, 1.0], np.float32), TRAIN)
    run.publish_negatives(0, passage=150, teacher=PairScores.of(pairs.ravel(), preferred))
    TrainerProcess(run, client, shutdown).run()
    losses = [record["loss"] for record in series(run)]
    assert len(losses) == 30 and np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_a_stage_learns_from_bm25_whose_index_is_kept_in_the_cache(
    new_run: NewRun, client: Redis, shutdown: Shutdown
) -> None:
    losses, built = {}, []
    for weight in (None, 1.0, 2.0):
        teacher = {} if weight is None else {"lexical_teacher": {"weight": weight}}
        run = new_run(training=training(stage(0, "random"), stage(2, "random") | {"loss": "in_batch"} | teacher))
        TrainerProcess(run, client, shutdown).run()
        losses[weight] = [record["loss"] for record in series(run)]
        built.append(sorted(path.name for path in run.cache.glob("bm25-*")))
    assert losses[None][0] < losses[1.0][0] < losses[2.0][0]
    assert built[0] == [] and len(built[1]) == 1, "only a stage that has such a teacher needs an index"

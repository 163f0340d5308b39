"""Which negatives a step gets, and when it has to wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.candidates import Candidates
from ance.data.dataset import Dataset
from ance.errors import AnceError
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.negatives.sources import ListedNegatives, MixedNegatives, RandomNegatives
from ance.runtime.holds import VersionHold
from ance.runtime.metrics import TrainerMetrics
from ance.training.config import StageConfig
from services.trainer.boundary import Boundary
from services.trainer.fresh_negatives import FreshNegatives
from services.trainer.negative_supply import NegativeSupply, Supply
from services.trainer.ranks import Place, Ranks
from services.trainer.stages import Stage
from tests.services.conftest import NewRun
from tests.services.service_run import ServiceRun, wait_until
from tests.system.tiny import PASSAGES, TRAIN

ROWS = np.arange(4)


def stage(negatives: str, first: int = 20, last: int = 80, **settings: object) -> Stage:
    values = {"steps": last - first, "learning_rate": 1e-3, "negatives": negatives, **settings}
    config = StageConfig.model_validate(values)
    return Stage("ance" if config.mines else "warmup", config, first, last)


def drawn(supply: Supply, n: int = 1) -> set[int]:
    """Passages that the queries of `ROWS` get, n each."""
    return set(supply.source.negatives(ROWS, n, np.random.default_rng(0)).ravel().tolist())


@dataclass
class Desk:
    """A supply with everything around it."""

    run: ServiceRun
    fresh: FreshNegatives
    metrics: TrainerMetrics
    stopped: threading.Event
    mined: list[int]

    def supply(self, **changes: object) -> NegativeSupply:
        """`changes` are of the configuration, whose warm-up ends with step 20."""
        training = self.run.config.training.model_copy(update={"max_async_gap": 0, **changes})
        boundary = Boundary(Ranks(Place(rank=0, world_size=1, local_rank=0)), self.fresh, self.stopped.is_set)
        config = self.run.config.model_copy(update={"training": training})
        return NegativeSupply(self.run.dataset, self.fresh, self.bm25, config, self.metrics, boundary)

    def bm25(self) -> MinedNegatives:
        self.mined.append(1)
        listed = np.full((len(ROWS), 1), 200, np.int64)
        scores = np.zeros((len(ROWS), 1), np.float32)
        return MinedNegatives(ROWS, listed, listed, scores, dropped={"known_positive": 3, "answer": 2})

    def publish(self, step: int) -> None:
        """Publish negatives of a step and wait until the watching thread has them."""
        self.run.publish_negatives(step)
        assert self.fresh.wait_from(step, timeout=20) is not None

    @property
    def waiting(self) -> bool:
        return self.metrics.registry.get_sample_value("ance_trainer_waiting") == 1


@pytest.fixture
def desk(new_run: NewRun) -> Iterator[Desk]:
    run = new_run()
    pointer = partial(run.store.read_pointer, run.layout.pointer("negatives"))
    hold = VersionHold(run.store, run.layout, "test")
    with FreshNegatives(run.store, hold, pointer, run.cache, poll_seconds=0.01) as fresh:
        yield Desk(run, fresh, TrainerMetrics(), threading.Event(), [])


class Asking:
    """Asks for negatives in another thread, as the training loop does in its own."""

    def __init__(self, ask: Callable[[], Supply | None]) -> None:
        self.answer: Supply | None = None
        self._thread = threading.Thread(target=self._run, args=(ask,))
        self._thread.start()

    def _run(self, ask: Callable[[], Supply | None]) -> None:
        self.answer = ask()

    def result(self) -> Supply | None:
        self._thread.join(20)
        assert not self._thread.is_alive(), "still waiting"
        return self.answer


def test_random_and_bm25_negatives_come_from_no_index(desk: Desk) -> None:
    supply = desk.supply(max_async_gap=1)
    for kind, mined in (("random", []), ("bm25", [1])):
        supply.start(stage(kind, first=0, last=20))
        given = supply.for_step(stage(kind, first=0, last=20), 19)
        assert given is not None and supply.version is None and given.async_gap(20) is None
        assert desk.mined == mined
    assert given is not None and drawn(given) == {200}


def test_bm25_and_random_negatives_can_be_mixed(desk: Desk) -> None:
    supply, mixed = desk.supply(), stage("bm25+random", first=0, last=20)
    supply.start(mixed)
    given = supply.for_step(mixed, 0)
    assert given is not None and supply.version is None and desk.mined == [1]
    rows = given.source.negatives(np.tile(ROWS, 10), 2, np.random.default_rng(0))
    assert ((rows == 200).sum(axis=1) == 1).all(), "one of two is BM25's, the other any passage"
    assert len(np.unique(rows)) > 20


def test_the_mixture_of_bm25_and_random_is_that_of_its_two_sources(desk: Desk) -> None:
    supply, both = desk.supply(), stage("bm25+random", first=0, last=20)
    supply.start(both)
    given = supply.for_step(both, 0)
    assert given is not None
    random = RandomNegatives(PASSAGES, desk.run.dataset.qrels("train"))
    expected = MixedNegatives([ListedNegatives(ROWS, desk.bm25().negatives, random), random])
    for n in (1, 3):
        found = given.source.negatives(ROWS, n, np.random.default_rng(1))
        assert_array_equal(found, expected.negatives(ROWS, n, np.random.default_rng(1)))


def test_a_mixture_with_mined_negatives_waits_for_them(desk: Desk) -> None:
    supply, both = desk.supply(max_async_gap=5), stage("random+ance")
    supply.start(both)
    asking = Asking(lambda: supply.for_step(both, 20))
    wait_until(lambda: desk.waiting)
    desk.publish(20)
    given = asking.result()
    assert given is not None and supply.version == 20
    rows = given.source.negatives(np.tile(ROWS, 10), 2, np.random.default_rng(0))
    assert ((rows == 120).sum(axis=1) == 1).all(), "one of two is ANCE's, the other any passage"
    assert len(np.unique(rows)) > 20


def test_a_stage_may_train_on_what_the_data_set_came_with(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = Candidates.build(TRAIN, np.repeat(np.arange(TRAIN), 2), np.tile([210, 211], TRAIN))
    monkeypatch.setattr(Dataset, "candidates", lambda dataset, split: {"train": candidates}[split])
    supply, given = desk.supply(), stage("given", first=0, last=20)
    supply.start(given)
    negatives = supply.for_step(given, 0)
    assert negatives is not None and supply.version is None and desk.mined == []
    assert drawn(negatives) <= {210, 211}


def test_a_stage_on_negatives_of_the_batch_draws_none(desk: Desk) -> None:
    supply = desk.supply()
    config = StageConfig(steps=20, learning_rate=1e-3, negatives="in_batch", loss="in_batch")
    alone = Stage("warmup", config, 0, 20)
    supply.start(alone)
    given = supply.for_step(alone, 0)
    assert given is not None and desk.mined == []
    assert given.source.negatives(np.arange(4), 3, np.random.default_rng(0)).shape == (4, 0)


@pytest.mark.parametrize(("negatives", "others"), [("ance", set()), ("ance+bm25", {200})])
def test_a_newer_version_is_taken_at_the_next_step(desk: Desk, negatives: str, others: set[int]) -> None:
    supply, ance = desk.supply(), stage(negatives)
    supply.start(ance)
    for version in (20, 40):
        desk.publish(version)
        given = supply.for_step(ance, 50)
        assert given is not None
        assert drawn(given, 1 + len(others)) == {100 + version} | others and supply.version == version
        assert given.async_gap(51) == 51 - version
        assert supply.for_step(ance, 51) is given, "the same version is not opened again"
    assert len(desk.mined) == len(others), "BM25's are mined once"


def test_the_first_step_of_a_stage_waits_for_negatives_of_the_checkpoint_that_began_it(desk: Desk) -> None:
    supply, ance = desk.supply(), stage("ance")
    desk.publish(10)  # mined with a warm-up checkpoint: another kind of negatives
    asking = Asking(lambda: supply.for_step(ance, 20))
    wait_until(lambda: desk.waiting)
    desk.publish(20)
    given = asking.result()
    assert given is not None and drawn(given) == {120}
    assert not desk.waiting


def test_training_pauses_at_the_bound_of_the_async_gap_and_goes_on_with_newer_negatives(desk: Desk) -> None:
    supply, ance = desk.supply(max_async_gap=5), stage("ance")
    desk.publish(20)
    assert supply.for_step(ance, 25) is not None  # five steps old: not too old
    asking = Asking(lambda: supply.for_step(ance, 26))
    wait_until(lambda: desk.waiting)
    desk.publish(25)
    given = asking.result()
    assert given is not None and supply.version == 25


def test_without_a_bound_training_never_pauses(desk: Desk) -> None:
    supply = desk.supply(max_async_gap=0)
    desk.publish(20)
    assert supply.for_step(stage("ance", last=10_000), 9_000) is not None


def test_a_wish_to_stop_ends_the_wait(desk: Desk) -> None:
    asking = Asking(lambda: desk.supply().for_step(stage("ance"), 20))
    wait_until(lambda: desk.waiting)
    desk.stopped.set()
    assert asking.result() is None
    assert not desk.waiting


def test_synchronous_training_waits_after_each_checkpoint_for_its_negatives(desk: Desk) -> None:
    supply, ance = desk.supply(synchronous=True, checkpoint_steps=5), stage("ance")
    desk.publish(20)
    assert supply.for_step(ance, 24) is not None, "the next checkpoint is still to come"
    asking = Asking(lambda: supply.for_step(ance, 25))
    wait_until(lambda: desk.waiting)
    desk.publish(25)
    given = asking.result()
    assert given is not None and supply.version == 25


@pytest.mark.parametrize("kind", ["bm25", "bm25+random", "given"])
def test_what_the_filters_drop_of_the_lists_of_a_stage_is_counted(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Passage q is the positive of query q.
    candidates = Candidates.build(TRAIN, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 210, 1, 210, 2, 210]))
    monkeypatch.setattr(Dataset, "candidates", lambda dataset, split: {"train": candidates}[split])
    desk.supply().start(stage(kind, first=0, last=20))

    def counted(name: str) -> float | None:
        return desk.metrics.registry.get_sample_value("ance_trainer_candidates_dropped_total", {"filter": name})

    assert counted("known_positive") == 3
    assert counted("answer") == (0 if kind == "given" else 2)


def test_random_negatives_that_stand_in_for_listed_ones_are_counted(desk: Desk) -> None:
    supply, bm25 = desk.supply(), stage("bm25", first=0, last=20)
    supply.start(bm25)
    given = supply.for_step(bm25, 0)
    assert given is not None
    given.source.negatives(ROWS, 3, np.random.default_rng(0))
    assert desk.metrics.registry.get_sample_value("ance_trainer_negatives_filled_total") == len(ROWS) * 2


def test_a_stage_that_learns_from_a_teacher_gets_its_scores_with_the_negatives(desk: Desk) -> None:
    supply = desk.supply()
    distilling = stage("ance", loss="margin_mse", teacher={"cross_encoder": "folder"})
    scores = PairScores.of(pairs_of(ROWS, ROWS[:, None])[:, 0], ROWS.astype(np.float32))
    desk.run.publish_negatives(20, teacher=scores)
    assert desk.fresh.wait_from(20, timeout=20) is not None
    given = supply.for_step(distilling, 20)
    assert given is not None and given.teacher is not None
    assert given.teacher.look_up(scores.pairs).tolist() == [0, 1, 2, 3]
    assert desk.supply().for_step(stage("ance"), 20).teacher is None  # type: ignore[union-attr]


def test_negatives_without_a_teachers_scores_cannot_be_learnt_from(desk: Desk) -> None:
    desk.publish(20)
    with pytest.raises(AnceError, match=r"negatives/20/manifest\.json: these negatives come without the scores"):
        desk.supply().for_step(stage("ance", loss="margin_mse", teacher={"cross_encoder": "folder"}), 20)

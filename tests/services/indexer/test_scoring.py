"""A teacher's scores on their way from the queue to the published negatives, without a model."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from ance.errors import AnceError
from ance.negatives.mined import MinedNegatives
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.runtime.artifacts import fetch, publish, published, read_manifest
from ance.runtime.contracts import Kind, ScoreTask
from ance.runtime.layout import manifest_of
from ance.runtime.shutdown import Shutdown
from services.indexer.collector import PassInterrupted
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass, checkpoint, score_of
from tests.services.service_run import ServiceRun, background, wait_until
from tests.system.tiny import TRAIN

ENCODE_TASKS, DEPTH, MARGIN = 10, 8, 1.0
TEACHER = {"cross_encoder": "made up", "depth": DEPTH, "denoise_margin": MARGIN, "shard_pairs": 200}
SCORE_TASKS = 5
"""864 pairs: 96 queries with a positive and eight negatives each."""


@pytest.fixture
def judged_run(new_run: NewRun, tmp_path: Path) -> ServiceRun:
    """A run whose teacher is of bytes that nobody reads."""
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "ance", "loss": "margin_mse", "teacher": TEACHER}
    run = new_run(training={"ance": ance})
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "model.safetensors").write_bytes(b"of no use to an indexer")
    publish(run.store, run.layout.teacher, tmp_path / "teacher", kind=Kind.RERANKER, run_id=run.config.run)
    return run


@pytest.fixture
def judged(judged_run: ServiceRun, client: Redis, shutdown: Shutdown) -> Pass:
    return Pass(judged_run, client, shutdown)


def refreshed(under_way: Pass, step: int) -> MinedNegatives:
    """What a whole pass publishes."""
    under_way.lease.acquire()
    with under_way.worker.working():
        under_way.refresh.run(checkpoint(under_way.run, step), under_way.lease)
    under_way.lease.release()
    return MinedNegatives.open(fetch(under_way.run.store, under_way.run.layout.negatives(step), under_way.run.cache))


def score_tasks(under_way: Pass) -> list[str]:
    return [task_id for task_id in under_way.worker.handled if "/pairs/" in task_id]


def asked_for(run: ServiceRun, step: int) -> list[int]:
    """The pairs of all tasks of a step."""
    keys = [key for key in run.store.list(run.layout.score_parts(step)) if key.endswith(".pairs.npy")]
    return [pair for key in keys for pair in np.load(io.BytesIO(run.store.read(key))).tolist()]


def test_published_negatives_are_those_that_the_teacher_leaves_with_its_scores(judged: Pass) -> None:
    mined = refreshed(judged, 20)
    assert len(score_tasks(judged)) == SCORE_TASKS
    assert mined.teacher is not None
    of_positives = score_of(pairs_of(np.arange(TRAIN), np.arange(TRAIN)[:, None]))  # passage q answers query q
    pairs = pairs_of(mined.queries, mined.negatives)
    kept = mined.negatives >= 0
    np.testing.assert_array_equal(mined.teacher.look_up(pairs)[kept], score_of(pairs)[kept])
    assert (score_of(pairs) <= of_positives - MARGIN)[kept].all()
    assert mined.dropped["denoised"] > TRAIN
    dropped = judged.metrics.registry.get_sample_value("ance_indexer_candidates_dropped_total", {"filter": "denoised"})
    assert dropped == mined.dropped["denoised"]
    manifest = read_manifest(judged.run.store, manifest_of(judged.run.layout.negatives(20)))
    assert {"negatives.npy", "teacher_pairs.npy", "teacher_scores.npy"} <= {entry.path for entry in manifest.files}


def test_a_pair_that_was_scored_for_an_earlier_version_is_not_scored_again(judged: Pass) -> None:
    run = judged.run
    refreshed(judged, 20)
    second = refreshed(judged, 25)
    first_asked, then_asked = asked_for(run, 20), asked_for(run, 25)
    assert 0 < len(then_asked) < len(first_asked)
    assert not set(first_asked) & set(then_asked)
    known = PairScores.open(fetch(run.store, run.layout.scores(25), run.cache))
    assert known.pairs.tolist() == sorted(first_asked + then_asked)
    np.testing.assert_array_equal(known.scores, score_of(known.pairs))
    assert second.teacher is not None
    np.testing.assert_array_equal(second.teacher.scores, score_of(second.teacher.pairs))
    sample = judged.metrics.registry.get_sample_value
    scored = sample("ance_indexer_pairs_total", {"source": "scored"})
    assert scored == len(known)
    assert sample("ance_indexer_pairs_total", {"source": "known"}) == 2 * (1 + DEPTH) * TRAIN - scored


def test_a_new_leader_has_only_the_missing_pairs_scored_and_nothing_is_visible_before(
    judged_run: ServiceRun, client: Redis, shutdown: Shutdown
) -> None:
    run = judged_run
    with Shutdown(signals=()) as stop:
        first = Pass(run, client, stop)
        first.lease.acquire()

        def lead() -> None:
            with pytest.raises(PassInterrupted):
                first.refresh.run(checkpoint(run, 20), first.lease)

        with background(lead, stop=stop.request):
            first.worker.work(ENCODE_TASKS + 2)
        first.lease.release()
    assert len(score_tasks(first)) == 2
    assert run.store.read_pointer(run.layout.pointer("negatives")) is None
    assert run.store.read_pointer(run.layout.pointer("scores")) is None

    second = Pass(run, client, shutdown)
    mined = refreshed(second, 20)
    assert len(score_tasks(second)) == SCORE_TASKS - 2
    assert not set(score_tasks(first)) & set(score_tasks(second))
    assert mined.teacher is not None
    np.testing.assert_array_equal(mined.teacher.scores, score_of(mined.teacher.pairs))


def test_scores_of_another_teacher_are_not_taken_for_those_of_this_one(judged: Pass) -> None:
    run = judged.run
    refreshed(judged, 20)
    run.store.delete(run.layout.teacher)
    other = run.cache / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"another one")
    publish(run.store, run.layout.teacher, other, kind=Kind.RERANKER, run_id=run.config.run)
    refreshed(judged, 25)
    assert len(asked_for(run, 25)) == (1 + DEPTH) * TRAIN


@pytest.mark.parametrize("wrong", [np.zeros(3, np.float32), np.full(200, np.nan, np.float32)], ids=["few", "nan"])
def test_what_is_no_score_of_every_pair_is_refused(judged: Pass, wrong: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, wrong)
    made = judged.worker.store

    def store(task: object) -> None:
        if isinstance(task, ScoreTask) and task.shard == 0:
            judged.run.store.write_new(task.output_uri, buffer.getvalue())
        else:
            made(task)  # type: ignore[arg-type]

    judged.worker.store = store  # type: ignore[method-assign,assignment]
    with pytest.raises(AnceError, match=r"expected 200 finite float32 scores.*delete the file"):
        refreshed(judged, 20)
    judged.lease.release()
    assert published(judged.run.store, judged.run.layout.negatives(20)) is None


def test_a_run_that_was_created_without_its_teacher_says_so(judged: Pass) -> None:
    judged.run.store.delete(judged.run.layout.teacher)
    with pytest.raises(AnceError, match=r"/teacher: no teacher there.*`ance runs create`"):
        refreshed(judged, 20)
    judged.lease.release()


def test_a_task_names_its_pairs_by_their_hash(judged: Pass) -> None:
    with Shutdown(signals=()) as stop:
        leading = Pass(judged.run, judged.client, stop)
        leading.lease.acquire()

        def lead() -> None:
            with pytest.raises(PassInterrupted):
                leading.refresh.run(checkpoint(judged.run, 20), leading.lease)

        with background(lead, stop=stop.request):
            leading.worker.work(ENCODE_TASKS)
            wait_until(lambda: len(leading.queue.outstanding()) == SCORE_TASKS)
            lease = leading.as_worker("looker").take(5)
            assert lease is not None and isinstance(lease.task, ScoreTask)
            data = judged.run.store.read(lease.task.pairs_uri)
            assert hashlib.sha256(data).hexdigest() == lease.task.pairs_sha256
            assert lease.task.pairs_sha256[:16] in lease.task.id and lease.task.size == len(np.load(io.BytesIO(data)))
        leading.lease.release()

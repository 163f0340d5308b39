"""What a scaler is told of a pass."""

from __future__ import annotations

import pytest

from ance.runtime.contracts import EncodeTask, Part, ScoreTask
from ance.runtime.queue import Completion
from services.indexer.progress import PassProgress
from tests.services.indexer.passes import Pass


def completion(task: EncodeTask, seconds: float) -> Completion:
    return Completion("1-0", task.id, task.step, task.part, task.shard, "w", {"seconds": str(seconds)})


@pytest.fixture
def passages(under_way: Pass) -> list[EncodeTask]:
    return [task for task in under_way.tasks() if task.part is Part.PASSAGES]


def test_passages_that_are_missing_remain_and_queries_do_not_count(under_way: Pass, passages: list[EncodeTask]) -> None:
    progress = PassProgress()
    progress.begin(under_way.tasks())
    assert progress.workload().remaining == 240
    progress.finished(passages[0])
    progress.finished(under_way.tasks()[0])  # queries
    assert progress.workload().remaining == 240 - (passages[0].stop - passages[0].start)


def test_the_rate_is_passages_a_second_of_one_worker(under_way: Pass, passages: list[EncodeTask]) -> None:
    progress = PassProgress()
    progress.begin(under_way.tasks())
    assert progress.workload().rate is None
    found_in_the_store = completion(passages[2], 0.0)
    progress.report([completion(passages[0], 2.0), completion(passages[1], 6.0), found_in_the_store])
    assert progress.workload().rate == pytest.approx(80 / 8)  # two shards of 40 rows


def test_the_time_counts_from_the_beginning_of_the_pass(under_way: Pass) -> None:
    time = iter([100.0, 130.0])
    progress = PassProgress(clock=lambda: next(time))
    progress.begin(under_way.tasks())
    assert progress.workload().elapsed_seconds == 30


def test_between_passes_nobody_is_busy(under_way: Pass, passages: list[EncodeTask]) -> None:
    progress = PassProgress()
    progress.begin(under_way.tasks())
    progress.busy(3)
    assert progress.workload().busy == 3
    for task in passages:
        progress.finished(task)
    assert progress.workload().busy == 0


def test_the_collector_reports_what_workers_do(under_way: Pass) -> None:
    progress = PassProgress()
    under_way.collector._progress = progress
    shards = under_way.collector.collect(under_way.tasks())
    under_way.queue.enqueue(under_way.tasks())
    under_way.worker.work(10)
    next(shards)
    assert progress.workload().remaining == 240
    list(shards)
    assert progress.workload().remaining == 0


def score_tasks(under_way: Pass) -> list[ScoreTask]:
    """Two tasks of 200 pairs, nothing of which is in the store."""
    layout = under_way.run.layout
    return [
        ScoreTask(
            run_id=under_way.run.config.run,
            step=20,
            shard=shard,
            pairs_uri=f"{layout.score_parts(20)}/{shard}.pairs.npy",
            pairs_sha256=f"{shard:064x}",
            size=200,
            teacher_uri=f"{layout.teacher}/manifest.json",
            teacher_sha256="0" * 64,
            output_uri=f"{layout.score_parts(20)}/{shard}.scores.npy",
        )
        for shard in range(2)
    ]


def test_pairs_to_score_are_work_too_at_a_rate_of_their_own(under_way: Pass, passages: list[EncodeTask]) -> None:
    progress = PassProgress()
    progress.begin(under_way.tasks())
    progress.report([completion(passages[0], 2.0)])
    for task in under_way.tasks():
        progress.finished(task)
    assert progress.workload().remaining == 0
    first, second = score_tasks(under_way)
    progress.begin([first, second])
    assert (progress.workload().remaining, progress.workload().rate) == (400, None)
    progress.report([Completion("1-0", first.id, 20, first.part, 0, "w", {"seconds": "4.0"})])
    progress.finished(first)
    assert (progress.workload().remaining, progress.workload().rate) == (200, 50.0)
    progress.begin(under_way.tasks())
    assert progress.workload().rate == 20.0, "that of passages is not forgotten"

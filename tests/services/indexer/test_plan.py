"""How the rows of a refresh are cut into tasks."""

from __future__ import annotations

import pytest

from ance.runtime.contracts import Part
from ance.runtime.shards import rows_of
from services.indexer.plan import plan
from tests.services.conftest import NewRun
from tests.services.indexer.passes import checkpoint, ids_of
from tests.system.tiny import DEV, PASSAGES, TRAIN


@pytest.mark.parametrize("shard_size", [1, 7, 40, 240, 10_000])
def test_every_row_is_covered_once_by_one_task_with_a_file_of_its_own(new_run: NewRun, shard_size: int) -> None:
    run = new_run(encoding={"shard_size": shard_size})
    tasks = plan(checkpoint(run, 20), rows_of(run.dataset, run.config, 20), run.config)
    for part, rows in ((Part.TRAIN_QUERIES, TRAIN), (Part.DEV_QUERIES, DEV), (Part.PASSAGES, PASSAGES)):
        covered = [row for task in tasks if task.part is part for row in range(task.start, task.stop)]
        assert covered == list(range(rows))
    assert len({task.id for task in tasks}) == len({task.output_uri for task in tasks}) == len(tasks)


def test_the_same_checkpoint_gives_the_same_tasks_with_queries_first(new_run: NewRun) -> None:
    run = new_run()
    ref, rows = checkpoint(run, 20), rows_of(run.dataset, run.config, 20)
    tasks = plan(ref, rows, run.config)
    assert tasks == plan(ref, rows_of(run.dataset, run.config, 20), run.config)
    assert [task.part for task in tasks] == [Part.TRAIN_QUERIES] * 3 + [Part.DEV_QUERIES] + [Part.PASSAGES] * 6
    assert {(task.checkpoint_uri, task.checkpoint_sha256) for task in tasks} == {
        (ref.manifest_uri, ref.manifest_sha256)
    }
    assert not set(ids_of(tasks)) & set(ids_of(plan(checkpoint(run, 25), rows, run.config)))


def test_only_what_is_needed_is_encoded(new_run: NewRun) -> None:
    ance = {"steps": 60, "learning_rate": 1e-3, "negatives": "random"}
    run = new_run(training={"ance": ance}, evaluation={"max_dev_queries": 5})
    rows = rows_of(run.dataset, run.config, 80)
    assert rows == {Part.TRAIN_QUERIES: 0, Part.DEV_QUERIES: 5, Part.PASSAGES: PASSAGES}
    assert {task.part for task in plan(checkpoint(run, 80), rows, run.config)} == {Part.DEV_QUERIES, Part.PASSAGES}


@pytest.mark.parametrize(("negatives", "queries"), [("ance+random", TRAIN), ("bm25+random", 0), ("adore", 0)])
def test_training_queries_are_encoded_where_any_of_the_negatives_are_mined(
    new_run: NewRun, negatives: str, queries: int
) -> None:
    run = new_run(training={"max_async_gap": 0, "ance": {"steps": 60, "learning_rate": 1e-3, "negatives": negatives}})
    assert rows_of(run.dataset, run.config, 20)[Part.TRAIN_QUERIES] == queries

"""Ranges of the passages, mined apart and merged, are as if they had been mined in one."""

from __future__ import annotations

import dataclasses
import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from ance.errors import AnceError
from ance.runtime.artifacts import CorruptArtifact, fetch, read_manifest
from ance.runtime.contracts import Part
from ance.runtime.lease import RunLease
from ance.runtime.redis.lease import RedisLease
from services.indexer.arrivals import Arrivals
from services.indexer.plan import owners
from services.indexer.range_miner import RangeMiner
from services.indexer.ranges import RangeStore, check_ranges, in_turn, save_rankings, tasks_by_range
from services.indexer.shards import Shards
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass, checkpoint, ids_of
from tests.services.service_run import wait_until

QUERY_SHARDS, PASSAGE_SHARDS = 4, 6


def miner(under_way: Pass, holder: str, ranges: int, lease_seconds: float = 15.0) -> RangeMiner:
    """What one indexer brings along."""
    run = under_way.run
    shards = Shards(run.store, partial(owners, dataset=run.dataset, config=run.config))
    return RangeMiner(
        run.config,
        run.dataset,
        run.store,
        run.layout,
        under_way.refresh.backend,
        Arrivals(under_way.as_worker(holder), shards, look_seconds=0.1),
        lambda number: RunLease(
            RedisLease(under_way.client, f"{run.config.run}/range-{number}", holder, lease_seconds)
        ),
        ranges,
        holder,
        run.cache,
        under_way.shutdown,
    )


def refresh(under_way: Pass, step: int, *miners: RangeMiner) -> dict[str, object]:
    """A pass of a leader that is the first of the miners (none: it mines alone). Its record."""
    run = under_way.run
    assert under_way.lease.acquire() is not None
    ref = checkpoint(run, step)
    run.store.move_pointer(run.layout.pointer("refresh"), ref)
    try:
        with under_way.worker.working():
            leader = dataclasses.replace(under_way.refresh, miner=miners[0] if miners else None)
            leader.run(ref, under_way.lease)
    finally:
        under_way.lease.release()
    return dict(read_manifest(run.store, f"{run.layout.index(step)}/manifest.json").stats)


@pytest.mark.parametrize("ranges", [1, 2, 4, 6, 9])
def test_every_range_has_all_queries_and_every_passage_is_in_one(under_way: Pass, ranges: int) -> None:
    tasks = under_way.tasks()
    by_range = tasks_by_range(tasks, ranges)
    assert len(by_range) == min(ranges, PASSAGE_SHARDS)
    for part in by_range:
        assert ids_of(part[:QUERY_SHARDS]) == ids_of(tasks[:QUERY_SHARDS])
        starts = [task.start for task in part[QUERY_SHARDS:]]
        assert starts == list(range(starts[0], starts[-1] + 1, 40)), "a range is a stretch of the corpus"
    passages = [task.id for part in by_range for task in part[QUERY_SHARDS:]]
    assert passages == ids_of(tasks, Part.PASSAGES)


def test_tasks_of_all_ranges_are_enqueued_in_turn_and_queries_first(under_way: Pass) -> None:
    tasks = under_way.tasks()
    turns = in_turn(tasks_by_range(tasks, 2))
    assert ids_of(turns[:QUERY_SHARDS]) == ids_of(tasks[:QUERY_SHARDS])
    assert [task.shard for task in turns[QUERY_SHARDS:]] == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("miners", [1, 2])
def test_three_ranges_give_what_one_gives_however_many_mine_them(
    new_run: NewRun, client: Redis, under_way: Pass, miners: int
) -> None:
    apart = Pass(new_run(), client, under_way.shutdown)
    alone_record = refresh(under_way, 20)
    several = [miner(apart, f"indexer-{number}", ranges=3) for number in range(miners)]
    for one in several:
        one.__enter__()
    try:
        record = refresh(apart, 20, *several)
    finally:
        for one in several:
            one.__exit__(None, None, None)
    for name in ("dev", "overlap", "dropped", "recall_probe", "rows"):
        assert record[name] == alone_record[name], name
    folders = [fetch(each.run.store, each.run.layout.negatives(20), each.run.cache) for each in (under_way, apart)]
    for path in sorted(folders[0].glob("*.npy")):
        np.testing.assert_array_equal(np.load(folders[1] / path.name), np.load(path), err_msg=path.name)
    indexes = [
        each.refresh.backend.open(fetch(each.run.store, each.run.layout.index(20), each.run.cache))
        for each in (under_way, apart)
    ]
    queries = np.random.default_rng(0).standard_normal((4, indexes[0].dim), np.float32)
    np.testing.assert_array_equal(indexes[1].search(queries, 300)[0], indexes[0].search(queries, 300)[0])
    manifests = [
        read_manifest(each.run.store, f"{each.run.layout.embeddings(20)}/manifest.json") for each in (under_way, apart)
    ]
    assert manifests[1].files == manifests[0].files


def test_the_range_of_a_miner_that_dies_is_mined_by_another(under_way: Pass) -> None:
    dead, alive = (miner(under_way, name, ranges=1, lease_seconds=0.5) for name in ("dead", "alive"))
    run = under_way.run
    run.store.move_pointer(run.layout.pointer("refresh"), checkpoint(run, 20))
    lease = dead.open_lease(0)
    assert lease.acquire() is not None
    ranges = RangeStore(run.store, run.layout.index(20), 1)
    with alive:
        for task in under_way.tasks():
            under_way.worker.store(task)
        assert not ranges.is_mined(0)
        assert lease._heartbeat is not None
        lease._heartbeat.stop()
        wait_until(lambda: ranges.is_mined(0))
    assert "-alive" in ranges.read(0).folder


def test_a_range_is_left_when_its_pass_is_over(under_way: Pass) -> None:
    run = under_way.run
    one = miner(under_way, "indexer-0", ranges=1)
    run.store.move_pointer(run.layout.pointer("refresh"), checkpoint(run, 20))
    key = f"ance:lease:{{{run.config.run}/range-0}}"
    with one:
        wait_until(lambda: under_way.client.exists(key) == 1)
        run.store.move_pointer(run.layout.pointer("refresh"), checkpoint(run, 25))
        for task in under_way.tasks(25):
            under_way.worker.store(task)
        wait_until(lambda: RangeStore(run.store, run.layout.index(25), 1).is_mined(0))
    assert not RangeStore(run.store, run.layout.index(20), 1).is_mined(0)


def test_what_ends_a_miner_ends_the_process_that_asks(under_way: Pass) -> None:
    run = under_way.run
    one = miner(under_way, "indexer-0", ranges=1)
    run.store.move_pointer(run.layout.pointer("refresh"), checkpoint(run, 20))
    for task in under_way.tasks():
        run.store.write_new(task.output_uri, b"no vectors")
    with one:
        wait_until(lambda: one._error is not None)
    with pytest.raises(AnceError, match=r"not a .npy file"):
        one.check()


def test_of_two_that_mine_one_range_the_first_counts(under_way: Pass, tmp_path: Path) -> None:
    ranges = RangeStore(under_way.run.store, under_way.run.layout.index(20), 2)
    for holder in ("first", "second"):
        index, rankings = tmp_path / holder / "index", tmp_path / holder / "rankings"
        index.mkdir(parents=True)
        rankings.mkdir()
        (index / "index.faiss").write_bytes(holder.encode())
        save_rankings(rankings, {"dev_queries": (np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32))})
        ranges.put(1, holder, index, rankings, shards=(), vectors=1, seconds=0.0)
    assert not ranges.is_mined(0) and ranges.is_mined(1)
    mined = ranges.read(1)
    assert mined.folder == "ranges/1-of-2-first"
    assert ranges.read_ranking(mined, "dev_queries")[0].tolist() == [[0]]
    changed = io.BytesIO()
    np.save(changed, np.ones((1, 1), np.int64))
    under_way.run.store.write(f"{ranges.index}/{mined.folder}/dev_queries.rows.npy", changed.getvalue())
    with pytest.raises(CorruptArtifact, match="is not what was mined"):
        ranges.read_ranking(mined, "dev_queries")


def test_what_needs_the_whole_index_is_not_mined_in_ranges(new_run: NewRun) -> None:
    with pytest.raises(AnceError, match="lookahead asks the whole index"):
        check_ranges(2, new_run(negatives={"lookahead": 0.5}).config)
    with pytest.raises(AnceError, match="milvus spreads its index itself"):
        check_ranges(2, new_run(index={"backend": "milvus"}).config)
    check_ranges(1, new_run(negatives={"lookahead": 0.5}).config)

"""Ranking and index from shards in whatever order they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ance.retrieval.index import PassageIndex
from ance.runtime.contracts import EncodeTask, FileEntry, Part
from services.indexer.builder import RefreshBuilder
from services.indexer.shards import FinishedShard
from tests.services.indexer.passes import DIM, Pass, made_up
from tests.system.tiny import DEV, PASSAGES, TRAIN


def finished(task: EncodeTask) -> FinishedShard:
    rows = np.arange(task.start, task.stop)
    return FinishedShard(task, FileEntry(path="x.npy", size=0, sha256="0" * 64), made_up(task), rows)


def built(under_way: Pass, tasks: list[EncodeTask]) -> RefreshBuilder:
    builder = under_way.new_builder()
    for task in tasks:
        builder.add(finished(task))
    return builder


def vectors(under_way: Pass, part: Part) -> np.ndarray:
    return np.concatenate([made_up(task) for task in under_way.tasks() if task.part is part])


@pytest.mark.parametrize("seed", range(4))
def test_the_ranking_is_that_of_exact_search_whatever_order_the_shards_come_in(under_way: Pass, seed: int) -> None:
    in_order = built(under_way, under_way.tasks())
    shuffled = under_way.tasks()
    np.random.default_rng(seed).shuffle(shuffled)  # type: ignore[arg-type]
    builder = built(under_way, shuffled)
    passages = vectors(under_way, Part.PASSAGES)
    for part, queries, depth in ((Part.TRAIN_QUERIES, TRAIN, 21), (Part.DEV_QUERIES, DEV, 1000)):
        ids, scores = builder.ranking(part)
        expected_ids, expected_scores = in_order.ranking(part)
        np.testing.assert_array_equal(ids, expected_ids)
        np.testing.assert_array_equal(scores, expected_scores)
        exact = np.argsort(-(vectors(under_way, part) @ passages.T), axis=1)
        np.testing.assert_array_equal(ids[:, : min(depth, PASSAGES)], exact[:, : min(depth, PASSAGES)])
        assert ids.shape == (queries, depth)


def test_the_index_finds_each_passage_under_its_own_row(under_way: Pass, tmp_path: Path) -> None:
    built(under_way, under_way.tasks()[::-1]).finish(tmp_path)
    index = PassageIndex.open(tmp_path)
    passages = vectors(under_way, Part.PASSAGES)
    ids, _ = index.search(passages / np.linalg.norm(passages, axis=1, keepdims=True), PASSAGES)
    assert (index.size, index.dim) == (PASSAGES, DIM)
    np.testing.assert_array_equal(np.sort(ids, axis=1), np.tile(np.arange(PASSAGES), (PASSAGES, 1)))
    scores = passages @ passages.T
    np.testing.assert_array_equal(ids[:, 0], (scores / np.sqrt(np.diag(scores))[:, None]).argmax(1))


def test_passages_that_come_before_the_last_query_wait_for_it(under_way: Pass) -> None:
    tasks = under_way.tasks()
    last_query, passages = tasks[3], tasks[4:]
    builder = built(under_way, [*tasks[:3], *passages])
    with pytest.raises(AssertionError, match="no passages"):
        builder.ranking(Part.TRAIN_QUERIES)
    builder.add(finished(last_query))
    ids, _ = builder.ranking(Part.TRAIN_QUERIES)
    np.testing.assert_array_equal(ids, built(under_way, tasks).ranking(Part.TRAIN_QUERIES)[0])

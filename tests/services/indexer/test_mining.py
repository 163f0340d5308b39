"""Negatives beyond the paper's: from earlier versions, from the positives' neighbours, without answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from ance.errors import AnceError
from ance.negatives.mined import MinedNegatives
from ance.runtime.contracts import Part
from ance.runtime.shutdown import Shutdown
from tests.services.conftest import NewRun
from tests.services.indexer.passes import Pass, checkpoint
from tests.services.indexer.test_builder import finished, vectors
from tests.services.indexer.test_publish import builder, mined, publisher
from tests.system.tiny import PASSAGES, TRAIN, with_answers

Configured = Callable[..., Pass]


@pytest.fixture
def configured(new_run: NewRun, client: Redis, shutdown: Shutdown) -> Configured:
    """A pass of a run with some settings of its sections changed."""

    def make(**sections: dict[str, object]) -> Pass:
        return Pass(new_run(**sections), client, shutdown)

    return make


def publish(under_way: Pass, step: int) -> MinedNegatives:
    publishing = publisher(under_way, step)
    publishing.negatives(builder(under_way, step), publishing.earlier().get("previous"))
    return mined(under_way, step)


def test_momentum_negatives_come_from_the_version_before(configured: Configured) -> None:
    under_way = configured(negatives={"sample": 8, "momentum": 0.25})
    first, second = publish(under_way, 20), publish(under_way, 25)
    assert (first.negatives >= 0).all() and (second.negatives >= 0).all()
    for query in range(TRAIN):
        assert set(first.negatives[query].tolist()) <= set(first.candidates[query].tolist())
        assert set(second.negatives[query, :6].tolist()) <= set(second.candidates[query].tolist())
        assert set(second.negatives[query, 6:].tolist()) <= set(first.candidates[query].tolist())


def test_a_pass_that_is_repeated_after_publishing_mixes_the_same_version_again(configured: Configured) -> None:
    under_way = configured(negatives={"sample": 8, "momentum": 0.5})
    publish(under_way, 20)
    before = publish(under_way, 25).negatives.tolist()
    assert publish(under_way, 25).negatives.tolist() == before


def test_lookahead_negatives_are_neighbours_of_the_positive(configured: Configured) -> None:
    under_way = configured(negatives={"sample": 8, "lookahead": 0.5})
    found = publish(under_way, 20)
    passages = vectors(under_way, Part.PASSAGES)
    for query in range(TRAIN):  # passage q is the positive of query q
        nearest = [row for row in np.argsort(-(passages @ passages[query])).tolist() if row != query]
        assert set(found.negatives[query, 4:].tolist()) <= set(nearest[:21])
        assert set(found.negatives[query, :4].tolist()) <= set(found.candidates[query].tolist())
        assert query not in found.negatives[query]


def test_candidates_that_hold_an_answer_are_not_negatives(configured: Configured, tmp_path: Path) -> None:
    under_way = configured(negatives={"sample": 8, "candidates": 60, "exclude_answers": True})
    with pytest.raises(AnceError, match="'salad', split 'train': its queries have no answers"):
        publish(under_way, 20)
    word = under_way.run.dataset.passages.documents[3]["text"].split()[0]
    dataset = with_answers(under_way.run.dataset, tmp_path / "with-answers", {0: [word], 1: []})
    under_way.run = replace(under_way.run, dataset=dataset)
    found = publish(under_way, 20)
    texts = [document["text"].split() for document in dataset.passages.documents]
    assert not any(word in texts[row] for row in found.candidates[0][found.candidates[0] >= 0].tolist())
    ids, _ = builder(under_way, 20).ranking(Part.TRAIN_QUERIES)
    held = sum(word in texts[row] for row in ids[0].tolist() if row != 0)
    assert found.dropped == {"known_positive": found.dropped["known_positive"], "answer": held}
    assert held > 0


@pytest.mark.parametrize(("factory", "exact"), [("Flat", True), ("IVF16,Flat", False)])
def test_the_recall_probe_compares_the_index_with_exact_search(
    configured: Configured, factory: str, exact: bool
) -> None:
    under_way = configured(index={"factory": factory, "training_vectors": 240})
    probe = builder(under_way, 20).recall_probe()
    assert (probe["queries"], probe["k"]) == (24, 10)
    assert probe["recall"] == 1.0 if exact else 0.05 < probe["recall"] < 0.9


def test_search_time_parameters_of_the_run_are_those_of_the_index(configured: Configured) -> None:
    few, all_lists = (
        builder(configured(index={"factory": "IVF16,Flat", "parameters": {"nprobe": n}}), 20).recall_probe()["recall"]
        for n in (1, 16)
    )
    assert few < 0.9 and all_lists == 1.0


def test_without_dev_queries_training_queries_are_probed(configured: Configured) -> None:
    under_way = configured(index={"probe_queries": 7})
    built = under_way.new_builder({Part.DEV_QUERIES: 0})
    for task in under_way.tasks():
        if task.part is not Part.DEV_QUERIES:
            built.add(finished(task))
    assert built.recall_probe() == {"queries": 7, "k": 10, "recall": 1.0}


def test_a_refresh_records_its_recall_and_what_its_filters_dropped(configured: Configured) -> None:
    under_way = configured()
    with under_way.worker.working():
        under_way.refresh.run(checkpoint(under_way.run, 20), under_way.lease)
    record = json.loads(under_way.run.store.read(under_way.run.layout.refresh_record(20)))
    assert record["recall_probe"] == {"queries": 24, "k": 10, "recall": 1.0}
    assert 0 < record["dropped"]["known_positive"] <= TRAIN
    registry = under_way.metrics.registry
    assert registry.get_sample_value("ance_indexer_recall_probe_ratio") == 1.0
    dropped = registry.get_sample_value("ance_indexer_candidates_dropped_total", {"filter": "known_positive"})
    assert dropped == record["dropped"]["known_positive"]
    assert record["rows"]["passages"] == PASSAGES

"""What a refresh leaves in the store."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ance.data.answers import write_answers
from ance.data.dataset import Dataset
from ance.negatives.mined import MinedNegatives
from ance.runtime.artifacts import fetch, publish, read_manifest
from ance.runtime.contracts import Kind, Part
from ance.runtime.layout import manifest_of
from services.indexer.builder import RefreshBuilder
from services.indexer.publish import Publisher
from tests.services.indexer.passes import Pass, checkpoint
from tests.services.indexer.test_builder import finished
from tests.system.tiny import TRAIN


def publisher(under_way: Pass, step: int) -> Publisher:
    run = under_way.run
    return Publisher(run.store, run.config, run.layout, run.dataset, checkpoint(run, step), under_way.lease, run.cache)


def builder(under_way: Pass, step: int) -> RefreshBuilder:
    built = under_way.new_builder()
    for task in under_way.tasks(step):
        built.add(finished(task))
    return built


def mined(under_way: Pass, step: int) -> MinedNegatives:
    run = under_way.run
    return MinedNegatives.open(fetch(run.store, run.layout.negatives(step), run.cache))


def test_negatives_are_the_top_of_the_ranking_without_the_known_positives(under_way: Pass) -> None:
    built = builder(under_way, 20)
    publisher(under_way, 20).negatives(built)
    found = mined(under_way, 20)
    ids, _ = built.ranking(Part.TRAIN_QUERIES)
    assert any(query in ids[query] for query in range(TRAIN)), "a positive has to be among the top to be dropped"
    for query in range(TRAIN):  # passage q is the positive of query q
        expected = [row for row in ids[query].tolist() if row != query][:20]
        assert found.candidates[query].tolist() == expected
        assert set(found.negatives[query].tolist()) <= set(expected)
    ref = under_way.run.store.read_pointer(under_way.run.layout.pointer("negatives"))
    assert ref is not None
    manifest = read_manifest(under_way.run.store, ref.manifest_uri, ref.manifest_sha256)
    assert manifest.stats == {"checkpoint_created_at": 1020.0}
    assert manifest.parents == {"checkpoint": checkpoint(under_way.run, 20).manifest_sha256}


def test_new_negatives_are_compared_with_the_previous_version_and_with_bm25(under_way: Pass) -> None:
    run = under_way.run
    assert publisher(under_way, 20).earlier() == {}
    first = publisher(under_way, 20).negatives(builder(under_way, 20))
    first.save(run.cache / "bm25")
    publish(run.store, run.layout.bm25_negatives, run.cache / "bm25", kind=Kind.NEGATIVES)
    earlier = publisher(under_way, 25).earlier()
    assert set(earlier) == {"previous", "bm25"}
    for other in earlier.values():
        np.testing.assert_array_equal(other.candidates, first.candidates)
    assert set(publisher(under_way, 20).earlier()) == {"bm25"}, "a version is not compared with itself"


def test_previous_negatives_that_are_damaged_cost_the_overlap_and_not_the_refresh(
    under_way: Pass, caplog: pytest.LogCaptureFixture
) -> None:
    publisher(under_way, 20).negatives(builder(under_way, 20))
    under_way.run.path(f"{under_way.run.layout.negatives(20)}/candidates.npy").unlink()
    assert publisher(under_way, 25).earlier() == {}
    publisher(under_way, 25).negatives(builder(under_way, 25))
    assert "overlap not measured" in caplog.text
    assert mined(under_way, 25).candidates.shape == (TRAIN, 20)


def test_the_index_carries_the_record_of_its_refresh_which_is_also_kept_apart(under_way: Pass) -> None:
    run = under_way.run
    record = {"step": 20, "dev": {"RR@10": 0.5}}
    publisher(under_way, 20).index(builder(under_way, 20), record)
    folder = fetch(run.store, run.layout.index(20), run.cache)
    assert json.loads((folder / "eval.json").read_text()) == record
    assert json.loads(run.store.read(run.layout.refresh_record(20))) == record
    stats = read_manifest(run.store, manifest_of(run.layout.index(20))).stats
    assert (stats["dataset"], stats["checkpoint"]["step"], stats["dev"]) == ("salad", 20, record["dev"])


def test_dev_metrics_are_those_of_the_first_dev_queries(under_way: Pass) -> None:
    measured = publisher(under_way, 20).dev_metrics(builder(under_way, 20))
    assert measured["R@1000"] == 1.0  # 240 passages: every one is ranked
    assert 0 < measured["RR@10"] < 1


def test_coverage_of_the_dev_split_is_measured_where_its_queries_have_answers(under_way: Pass, tmp_path: Path) -> None:
    run = under_way.run
    folder = shutil.copytree(run.dataset.folder, tmp_path / "with-answers")
    dev, passages = run.dataset.queries("dev"), run.dataset.passages
    built = builder(under_way, 20)
    ids, _ = built.ranking(Part.DEV_QUERIES)
    # The whole text of a passage is the answer: nothing else holds it. Of the other queries none is known.
    answers = {dev.ids[row]: [passages.documents[ids[row, rank]]["text"]] for row, rank in enumerate((0, 19, 20, 150))}
    write_answers(folder / "queries" / "dev", dev.ids, answers)
    under_way.run = replace(run, dataset=Dataset.open(folder))
    measured = publisher(under_way, 20).dev_metrics(built)
    assert (measured.pop("Coverage@20"), measured.pop("Coverage@100")) == (0.5, 0.75)
    under_way.run = run
    assert measured == publisher(under_way, 20).dev_metrics(built)

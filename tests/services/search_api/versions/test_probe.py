from dataclasses import replace
from pathlib import Path

import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.runtime.metrics import SearchMetrics
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.follower import IndexFollower
from services.search_api.versions.probe import check_metrics, probe
from services.search_api.versions.snapshot import RefusedVersion
from tests.services.search_api.tiny_run import TinyRun, write_beir


def test_an_approximate_index_may_lose_a_little() -> None:
    check_metrics({"RR@10": 0.4, "R@100": 0.9}, {"RR@10": 0.3, "R@100": 0.7}, 128)


def test_a_small_sample_may_be_unlucky() -> None:
    check_metrics({"RR@10": 0.2}, {"RR@10": 0.0}, 8)


def test_an_index_that_finds_next_to_nothing_is_refused() -> None:
    with pytest.raises(RefusedVersion, match=r"R@100 on 128 dev queries is 0.050, but it was published with 0.900"):
        check_metrics({"R@100": 0.9}, {"R@100": 0.05}, 128)


def test_what_was_not_recorded_is_not_compared() -> None:
    check_metrics({}, {"R@100": 0.0}, 128)


def test_where_only_coverage_was_recorded_nothing_is_compared(
    run: TinyRun, metrics: SearchMetrics, tmp_path: Path
) -> None:
    opened = run.open()
    follower = IndexFollower(opened, metrics, Corpus(opened))
    run.publish(1)
    follower.poll()
    assert follower.current is not None
    beir = write_beir(tmp_path / "unjudged")
    judged = beir / "qrels" / "dev.tsv"
    judged.write_text(judged.read_text().replace("\t1\n", "\t0\n"))
    prepare(Beir(beir), Tokenizer.load(Path(run.config.model.name_or_path)), tmp_path / "dataset", max_tokens=16)
    probe(replace(follower.current, documents=Dataset.open(tmp_path / "dataset")), 16, {"Coverage@20": 0.5})

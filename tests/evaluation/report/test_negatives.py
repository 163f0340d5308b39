"""The long tail of scores, and the overlap of kinds of negatives."""

import numpy as np
import pytest

from ance.evaluation.report.negatives import MAX_RANKS, negatives_section, score_tail
from tests.evaluation.report.pictures import assert_drawable, figures, missing, traces
from tests.evaluation.report.records import refresh_records

SCORES = np.array([[1.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]], np.float32)


def test_margins_are_scores_by_rank_less_the_mean_over_the_corpus() -> None:
    tail = score_tail(SCORES, step=7)
    assert (tail.step, tail.passages) == (7, 8)
    by_rank = dict(zip(tail.ranks.tolist(), tail.margins[0].tolist(), strict=True))
    assert by_rank[1] == 4.0 and by_rank[2] == 1.0 and by_rank[8] == -1.0


def test_of_a_large_corpus_few_ranks_are_kept_with_the_first_and_the_last() -> None:
    tail = score_tail(np.random.default_rng(0).normal(size=(2, 100_000)).astype(np.float32), step=0)
    assert len(tail.ranks) <= MAX_RANKS
    assert tail.ranks[0] == 1 and tail.ranks[-1] == 100_000
    assert (np.diff(tail.margins) <= 0).all()


def test_the_caption_counts_how_few_passages_are_near() -> None:
    section = negatives_section(score_tail(SCORES, 7), refresh_records(), 20, "ance up")
    assert_drawable(section)
    assert "about 1 of 8 passages (12.5%)" in figures(section)["score-tail"].caption


def test_each_kind_of_negatives_has_its_overlap_by_version() -> None:
    figure = figures(negatives_section(None, refresh_records(), 19, ""))["overlap"]
    lines = traces(figure)
    assert lines["BM25"]["y"] == [0.15] * 3
    assert lines["ANCE, version before"]["y"] == [None, 0.7, 0.8]
    assert lines["ANCE in use"]["y"] == [None, 0.6, 0.6]
    assert lines["random (expected)"]["y"] == pytest.approx([0.05] * 3)
    assert "the version before shares 80%, BM25 15% and random negatives 5.0%" in figure.caption


def test_a_run_without_bm25_negatives_has_no_line_for_them() -> None:
    records = [dict(record, overlap={"previous": 0.5}) for record in refresh_records()]
    assert list(traces(figures(negatives_section(None, records, 20, ""))["overlap"])) == [
        "ANCE, version before",
        "random (expected)",
    ]


def test_without_versions_it_says_what_to_run() -> None:
    assert [part.command for part in missing(negatives_section(None, [], 20, "ance up"))] == ["ance up"] * 2

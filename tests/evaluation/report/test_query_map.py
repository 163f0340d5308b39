"""The neighbourhood of one query."""

import numpy as np
import pytest

from ance.evaluation.report.query_map import (
    ANCE,
    BM25,
    LABEL_CHARACTERS,
    POSITIVE,
    RANDOM,
    Neighbourhood,
    distinct_rows,
    map_section,
    project,
)
from tests.evaluation.report.pictures import assert_drawable, figures, missing, traces

KINDS = [POSITIVE] + [ANCE] * 10 + [BM25] * 10 + [RANDOM] * 10


@pytest.fixture(scope="module")
def around() -> Neighbourhood:
    """A positive at the query, ANCE negatives near it, the others far away."""
    rng = np.random.default_rng(0)
    query, far = np.eye(2, 16, dtype=np.float32)
    centre = {POSITIVE: query, ANCE: query, BM25: far, RANDOM: -far}
    spread = {POSITIVE: 0.0, ANCE: 0.1, BM25: 0.1, RANDOM: 0.1}
    vectors = np.stack([centre[kind] + spread[kind] * rng.normal(size=16) for kind in KINDS]).astype(np.float32)
    labels = [f"passage {row}" for row in range(len(KINDS))]
    labels[0] = "<b>x</b> & " + "y" * 200
    return Neighbourhood(30, "what is near", query, KINDS, labels, vectors)


def test_a_passage_of_several_kinds_counts_as_the_first_and_padding_as_none() -> None:
    rows = {RANDOM: np.array([1, 4, 9]), ANCE: np.array([2, 1, -1]), POSITIVE: np.array([2]), BM25: np.array([3, 1])}
    found = {kind: list(distinct) for kind, distinct in distinct_rows(rows).items()}
    assert found == {POSITIVE: [2], ANCE: [1], BM25: [3], RANDOM: [4, 9]}


def test_a_kind_that_the_run_has_not_got_is_empty() -> None:
    assert list(distinct_rows({ANCE: np.array([5])})[BM25]) == []


def test_what_is_similar_is_drawn_near(around: Neighbourhood) -> None:
    points = project(np.concatenate([around.vector[None], around.vectors]))
    distance = np.linalg.norm(points[1:] - points[0], axis=1)
    kinds = np.array(KINDS)
    assert distance[kinds == ANCE].max() < min(distance[kinds == BM25].min(), distance[kinds == RANDOM].min())


def test_the_caption_compares_the_kinds_with_the_query(around: Neighbourhood) -> None:
    caption = figures(map_section(around, ""))["map"].caption
    assert caption.startswith(
        "“what is near” and its passages; mean cosine with the query: positive 1.00 (n = 1), ANCE"
    )


def test_every_point_has_a_label_that_plotly_takes_as_text(around: Neighbourhood) -> None:
    section = map_section(around, "")
    assert_drawable(section)
    points = traces(figures(section)["map"])
    assert {name: len(trace["x"]) for name, trace in points.items()} == {
        "random negative": 10,
        "BM25 negative": 10,
        "ANCE negative": 10,
        "positive": 1,
        "query": 1,
    }
    (label,) = points["positive"]["text"]
    assert label.startswith("&lt;b&gt;x&lt;/b&gt; &amp; yyy") and label.endswith("y…")
    assert len(label) < LABEL_CHARACTERS + 30


def test_without_vectors_it_says_what_to_run() -> None:
    assert [part.command for part in missing(map_section(None, "ance up"))] == ["ance up"]

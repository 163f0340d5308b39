"""Negatives from an index, with the query vectors of the moment."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.config import NegativesConfig
from ance.negatives.live import LiveNegatives
from ance.negatives.sampling import Rows
from ance.negatives.sources import RandomNegatives

QUERIES, PASSAGES = 4, 30
ROWS = np.array([3, 1])


def qrels() -> Qrels:
    """Query q has the positives q and q + 1."""
    rows = np.repeat(np.arange(QUERIES), 2)
    return Qrels.build(QUERIES, rows, rows + np.tile([0, 1], QUERIES), np.ones(2 * QUERIES, np.int32))


class Ranked:
    """An index that finds passages in the order of their distance from `centre` + the row of the query."""

    def __init__(self) -> None:
        self.centre = 0
        self.asked: list[tuple[list[int], int]] = []

    def __call__(self, rows: Rows, depth: int) -> tuple[Rows, np.ndarray]:
        self.asked.append((rows.tolist(), depth))
        distance = np.abs(np.arange(PASSAGES) - self.centre - rows[:, None])
        ids = np.argsort(distance, axis=1, kind="stable")[:, :depth]
        return ids, -np.take_along_axis(distance, ids, axis=1).astype(np.float32)


def live(ranked: Ranked, **settings: object) -> tuple[LiveNegatives, Counter[str]]:
    counted: Counter[str] = Counter()
    config = NegativesConfig.model_validate({"candidates": 5, "sample": 5, "sampling": "top", **settings})
    source = LiveNegatives(
        ranked,
        qrels(),
        config,
        RandomNegatives(PASSAGES, qrels()),
        has_answer=lambda query, passage: passage % 10 == query,
        on_drop=counted.update,
        on_fill=lambda count: counted.update(filled=count),
    )
    return source, counted


def test_each_batch_gets_what_is_found_at_that_moment_without_known_positives() -> None:
    ranked = Ranked()
    source, counted = live(ranked)
    first = source.negatives(ROWS, 3, np.random.default_rng(0))
    assert [set(row) for row in first.tolist()] == [{2, 5, 1}, {0, 3, 4}], "3, 4 and 1, 2 are positives"
    ranked.centre = 20
    later = source.negatives(ROWS, 3, np.random.default_rng(0))
    assert [set(row) for row in later.tolist()] == [{23, 22, 24}, {21, 20, 22}]
    assert ranked.asked == [([3, 1], 5 + 2)] * 2, "all queries at once, deep enough for the positives"
    assert counted == {"known_positive": 4}


def test_the_filters_of_mined_negatives_apply_and_count() -> None:
    source, counted = live(Ranked(), exclude_answers=True, absolute_margin=3.0)
    negatives = source.negatives(ROWS, 3, np.random.default_rng(0))
    assert all(passage % 10 != query for query, row in zip(ROWS, negatives, strict=True) for passage in row)
    assert counted["margin"] > 0 and counted["known_positive"] == 4


def test_where_too_few_are_left_random_passages_stand_in_and_are_counted() -> None:
    source, counted = live(Ranked(), absolute_margin=100.0)
    negatives = source.negatives(ROWS, 3, np.random.default_rng(0))
    assert (negatives >= 0).all() and counted["filled"] == 6
    assert not {3, 4} & set(negatives[0].tolist())


def test_the_sample_follows_from_the_generator() -> None:
    draws = [
        live(Ranked(), sampling="uniform", candidates=20)[0].negatives(ROWS, 3, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_corpus_that_is_too_small_is_refused() -> None:
    with pytest.raises(AnceError, match="cannot give every query 29 negatives"):
        live(Ranked())[0].negatives(ROWS, 29, np.random.default_rng(0))

from dataclasses import astuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.negatives.config import NegativesConfig
from ance.negatives.live import LiveNegatives
from ance.negatives.pair_scores import PairScores, pairs_of
from ance.negatives.sources import ListedNegatives, MixedNegatives, NoNegatives, RandomNegatives
from ance.training.batches import TrainingBatch, TrainingBatches
from ance.training.config import BatchConfig, StageConfig, TrainingConfig

QUERIES, PASSAGES = 23, 60
UNANSWERED = 7  # has only a judgement of grade 0
STAGE = StageConfig(steps=10, learning_rate=1e-3, negatives="random")


def qrels() -> Qrels:
    """Query q has positives 2q and 2q + 1, query 0 also passage 2, which is a positive of query 1."""
    rows = np.concatenate([np.repeat(np.arange(QUERIES), 2), [0]])
    passages = np.concatenate([np.arange(2 * QUERIES), [2]])
    grades = np.ones(len(rows), dtype=np.int32)
    grades[rows == UNANSWERED] = 0
    return Qrels.build(QUERIES, rows, passages, grades)


def stream(**changes: int) -> TrainingBatches:
    settings = {"batch_size": 5, "gradient_accumulation": 2, "negatives_per_query": 3, "seed": 1} | changes
    return TrainingBatches(qrels(), TrainingConfig(warmup=STAGE, ance=STAGE, **settings))


SOURCE = RandomNegatives(PASSAGES, qrels())


def micro_batches(batches: TrainingBatches, steps: range) -> list[TrainingBatch]:
    return [batch for step in steps for batch in batches.batch(step, SOURCE)]


def assert_same(left: list[TrainingBatch], right: list[TrainingBatch]) -> None:
    for one, other in zip(left, right, strict=True):
        for mine, theirs in zip(astuple(one), astuple(other), strict=True):
            assert_array_equal(mine, theirs)


def test_any_step_can_be_asked_for_in_any_order_and_by_any_process():
    in_order = micro_batches(stream(), range(12))
    backwards = stream()
    for step in reversed(range(12)):
        assert_same(backwards.batch(step, SOURCE), in_order[2 * step : 2 * step + 2])


def test_another_seed_gives_another_stream():
    first, other = stream(seed=1).batch(0, SOURCE)[0], stream(seed=2).batch(0, SOURCE)[0]
    assert first.query_rows.tolist() != other.query_rows.tolist()


def test_a_batch_has_the_configured_shape():
    batches = stream().batch(0, SOURCE)
    assert len(batches) == 2
    for batch in batches:
        assert batch.query_rows.shape == batch.positive_rows.shape == (5,)
        assert batch.negative_rows.shape == (5, 3)
        assert batch.known_positives.shape == (5, 20)


def test_no_query_repeats_within_an_epoch_and_every_epoch_has_its_own_order():
    # 22 queries with a positive give 4 batches of 5 an epoch.
    epochs = [
        np.concatenate([batch.query_rows for batch in micro_batches(stream(), range(first, first + 2))])
        for first in (0, 2, 4)
    ]
    for rows in epochs:
        assert len(set(rows)) == 20
    assert epochs[0].tolist() != epochs[1].tolist()


def test_every_query_with_a_positive_and_no_other_is_visited_in_time():
    visited = {row for batch in micro_batches(stream(), range(20)) for row in batch.query_rows.tolist()}
    assert visited == set(range(QUERIES)) - {UNANSWERED}


def test_every_positive_of_a_query_is_used_in_time():
    used = {
        (query, positive)
        for batch in micro_batches(stream(), range(100))
        for query, positive in zip(batch.query_rows.tolist(), batch.positive_rows.tolist(), strict=True)
    }
    known = qrels()
    assert used == {(row, passage) for row in range(QUERIES) for passage in known.positives(row).tolist()}


def test_negatives_are_fresh_at_every_visit_and_never_known_positives():
    known = qrels()
    drawn = set()
    for batch in micro_batches(stream(), range(50)):
        for query, negatives in zip(batch.query_rows, batch.negative_rows, strict=True):
            assert not set(negatives) & set(known.positives(query))
            drawn.add((query, *negatives.tolist()))
    assert len(drawn) > 450  # of 500 visits


def test_no_batch_is_dominated_by_the_many_negatives_of_one_query():
    # The original code trains on 20 negatives of one query in a row: 64 pairs of a step hold 6 queries.
    mined = np.array([[row for row in range(10, PASSAGES) if row // 2 != query][:20] for query in range(QUERIES)])
    listed = ListedNegatives(np.arange(QUERIES), mined, SOURCE)
    batches = stream(batch_size=16, negatives_per_query=1)
    for step in range(40):
        for batch in batches.batch(step, listed):
            assert len(set(batch.query_rows.tolist())) == 16 and batch.negative_rows.shape == (16, 1)


class Retrieved:
    """An index that finds the known positives of a query first of all."""

    def __call__(self, rows, depth):
        first = qrels().padded_positives(rows)
        others = np.tile(np.arange(PASSAGES - 12, PASSAGES), (len(rows), 1))
        ids = np.concatenate([first, others], axis=1)[:, :depth]
        return ids, -np.tile(np.arange(ids.shape[1], dtype=np.float32), (len(rows), 1))


LISTED = ListedNegatives(np.arange(QUERIES), np.tile(np.arange(PASSAGES), (QUERIES, 1)), SOURCE)
LIVE = LiveNegatives(Retrieved(), qrels(), NegativesConfig(candidates=5, sample=5), SOURCE)


@pytest.mark.parametrize("source", [SOURCE, LISTED, MixedNegatives([LISTED, SOURCE]), LIVE])
def test_no_source_gives_a_known_positive_even_where_it_finds_one(source):
    known = qrels()
    for step in range(30):
        for batch in stream().batch(step, source):
            for query, negatives in zip(batch.query_rows, batch.negative_rows, strict=True):
                assert not set(negatives.tolist()) & set(known.positives(query).tolist())


def test_the_mask_marks_exactly_the_other_known_positives_of_each_query():
    known = qrels()
    marked = 0
    for batch in micro_batches(stream(batch_size=20, gradient_accumulation=1), range(30)):
        passages = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        for row, query in enumerate(batch.query_rows):
            expected = np.isin(passages, known.positives(query))
            expected[row] = False
            assert_array_equal(batch.known_positives[row], expected)
        marked += batch.known_positives.sum()
    assert marked > 0


def test_fewer_queries_than_a_batch_is_an_error_that_names_the_setting():
    with pytest.raises(AnceError, match=r"only 22 training queries.*training\.batch_size \(30\)"):
        stream(batch_size=30)


def test_only_positives_of_the_least_grade_are_trained_with_and_lower_ones_are_masked_and_never_negative():
    rows, passages = np.repeat(np.arange(10), 3), np.arange(30)
    grades = np.tile(np.array([2, 1, 0], np.int32), 10)
    grades[rows == 3] = [1, 1, 0]  # query 3 has none of grade 2
    known = Qrels.build(10, rows, passages, grades)
    config = BatchConfig(batch_size=9, negatives_per_query=12, min_positive_grade=2)
    batches = TrainingBatches(known, config)
    for step in range(20):
        (batch,) = batches.batch(step, RandomNegatives(30, known))
        assert sorted(batch.query_rows.tolist()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
        assert_array_equal(batch.positive_rows, 3 * batch.query_rows)
        for query, negatives in zip(batch.query_rows.tolist(), batch.negative_rows.tolist(), strict=True):
            assert not set(negatives) & {3 * query, 3 * query + 1}
        drawn = np.concatenate([batch.positive_rows, batch.negative_rows.ravel()])
        for line, query in enumerate(batch.query_rows.tolist()):
            expected = np.isin(drawn, [3 * query, 3 * query + 1])
            expected[line] = False
            assert_array_equal(batch.known_positives[line], expected)


def test_without_hard_negatives_a_batch_has_its_positives_alone():
    batch = stream().batch(0, NoNegatives())[0]
    assert batch.negative_rows.shape == (5, 0)
    assert batch.known_positives.shape == (5, 5)


def test_a_batch_carries_the_teachers_margins_of_its_own_rows_and_so_do_its_parts():
    pairs = pairs_of(np.arange(QUERIES), np.tile(np.arange(PASSAGES), (QUERIES, 1)))
    teacher = PairScores(pairs.ravel(), np.random.default_rng(3).standard_normal(pairs.size).astype(np.float32))
    scores = teacher.scores.reshape(QUERIES, PASSAGES)
    for batch, without in zip(stream().batch(4, SOURCE, teacher), stream().batch(4, SOURCE), strict=True):
        positive = scores[batch.query_rows, batch.positive_rows]
        expected = positive[:, None] - scores[batch.query_rows[:, None], batch.negative_rows]
        assert_array_equal(batch.teacher_margins, expected)
        assert without.teacher_margins is None
        assert_array_equal(batch.negative_rows, without.negative_rows)
        for rank in range(5):
            assert_array_equal(batch.part(rank, 5, shared=False).teacher_margins, expected[rank : rank + 1])
        assert without.part(1, 5, shared=True).teacher_margins is None

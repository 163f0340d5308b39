"""The positives' vectors, picked out of the shards."""

import numpy as np

from ance.data.qrels import Qrels
from services.indexer.positives import PositiveVectors

QRELS = Qrels.build(
    4, np.array([0, 0, 1, 2]), np.array([3, 7, 7, 0]), np.array([1, 2, 2, 0], np.int32)
)  # query 2 has a judgement of grade 0 alone, query 3 none


def collected(min_grade: int) -> PositiveVectors:
    positives = PositiveVectors(QRELS, min_grade)
    vectors = np.arange(10, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    positives.add(vectors[5:], np.arange(5, 10))
    positives.add(vectors[:5], np.arange(5))
    return positives


def test_each_query_has_the_vector_of_its_first_positive() -> None:
    assert collected(1).rows.tolist() == [3, 7, -1, -1]
    assert collected(1).vectors.tolist() == [[3, 3], [7, 7], [0, 0], [0, 0]]


def test_a_positive_that_is_not_trained_with_does_not_count() -> None:
    assert collected(2).rows.tolist() == [7, 7, -1, -1]
    assert collected(2).vectors[0].tolist() == [7, 7]


def test_a_positive_in_chunks_is_its_first() -> None:
    positives = PositiveVectors(QRELS, 1)
    positives.add(np.arange(6, dtype=np.float32)[:, None], np.array([2, 3, 3, 7, 7, 7]))
    assert positives.vectors.tolist() == [[1], [3], [0], [0]]

import numpy as np

from ance.data.qrels import Qrels
from ance.evaluation.positive_ranks import positive_ranks


def test_the_rank_is_that_of_the_best_positive_and_one_more_than_the_depth_where_none_is_found() -> None:
    qrels = Qrels.build(
        4, np.array([0, 0, 1, 2]), np.array([7, 8, 9, 5]), np.ones(4, dtype=np.int32)
    )  # query 3 has no positive
    ids = np.array([[1, 8, 7], [1, 2, 3], [5, 6, -1], [1, 2, 3]])
    assert positive_ranks(ids, qrels).tolist() == [2, 4, 1]


def test_padding_is_no_positive() -> None:
    qrels = Qrels.build(2, np.array([0, 0, 1]), np.array([7, 8, 9]), np.ones(3, dtype=np.int32))
    ids = np.array([[1, -1], [1, -1]])  # query 1 has fewer positives than query 0: its list of them is padded
    assert positive_ranks(ids, qrels).tolist() == [3, 3]

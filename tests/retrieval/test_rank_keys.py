import numpy as np
import pytest

from ance.retrieval.rank_keys import MAX_ROWS, NO_PASSAGE, complement, rank_keys, rows_of, scores_of


def keys(*ranked: tuple[float, int]) -> np.ndarray:
    scores, rows = zip(*ranked, strict=True)
    return rank_keys(np.array(scores, np.float32), complement(np.array(rows)))


def test_a_key_holds_its_score_and_row() -> None:
    packed = keys((1.5, 0), (-2.25, 7), (0.0, MAX_ROWS - 1), (1e-40, 3), (-np.inf, 4))

    assert scores_of(packed).tolist() == np.array([1.5, -2.25, 0, 1e-40, -np.inf], np.float32).tolist()
    assert rows_of(packed).tolist() == [0, 7, MAX_ROWS - 1, 3, 4]


def test_keys_order_by_score_then_by_smaller_row() -> None:
    best_first = keys((3.0, 9), (0.5, 1), (0.5, 2), (0.0, 0), (-0.0, 5), (-0.5, 1), (-3.0, 0))

    assert (np.diff(best_first[::-1].astype(object)) > 0).all()


def test_no_passage_is_below_every_passage_and_reads_as_minus_one() -> None:
    assert keys((float(np.finfo(np.float32).min), MAX_ROWS - 1))[0] > NO_PASSAGE
    empty = np.array([NO_PASSAGE])
    assert rows_of(empty).tolist() == [-1]
    assert scores_of(empty).tolist() == [-np.inf]


@pytest.mark.parametrize("row", [-1, MAX_ROWS])
def test_a_row_that_does_not_fit_is_refused(row: int) -> None:
    with pytest.raises(ValueError, match="passage rows must be in"):
        complement(np.array([0, row]))

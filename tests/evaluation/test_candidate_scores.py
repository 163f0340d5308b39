import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance.evaluation import candidate_scores
from ance.evaluation.candidate_scores import CandidateScores


def brute_force(queries: np.ndarray, candidates: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> list[list[int]]:
    """Candidates of each query by their best vector, equal ones in the order given."""
    ranked = []
    for query, rows in zip(queries, candidates.tolist(), strict=True):
        best = {row: max(float(query @ vector) for vector in vectors[ids == row]) for row in rows if row >= 0}
        ranked.append(sorted(best, key=lambda row: -best[row]))
    return ranked


@given(seed=st.integers(0, 2**32 - 1), pairs=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_candidates_are_ranked_by_their_best_vector_however_the_corpus_is_cut(seed: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.arange(30), rng.integers(1, 4, 30))  # up to three chunks a passage
    vectors = rng.normal(size=(len(ids), 8)).astype(np.float32)
    queries = rng.normal(size=(6, 8)).astype(np.float32)
    lengths = rng.integers(0, 11, (6, 1))
    candidates = np.where(np.arange(10) < lengths, np.stack([rng.permutation(30)[:10] for _ in range(6)]), -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate_scores, "PAIRS", pairs)
        scores = CandidateScores(queries, candidates)
        for cut in np.array_split(rng.permutation(len(ids)), 4):
            scores.add(vectors[cut], ids[cut])
        found = scores.result()
    assert [[row for row in rows if row >= 0] for rows in found.ids.tolist()] == brute_force(
        queries, candidates, vectors, ids
    )
    assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()


def test_padding_stays_at_the_end_and_equal_scores_keep_the_order_of_the_candidates() -> None:
    scores = CandidateScores(np.ones((2, 1), np.float32), np.array([[5, 2, 9, -1], [-1, -1, -1, -1]]))
    scores.add(np.array([[-3.0], [-3.0], [-1.0]], np.float32), np.array([2, 5, 9]))
    found = scores.result()
    assert found.ids.tolist() == [[9, 5, 2, -1], [-1, -1, -1, -1]]
    assert found.scores.tolist() == [[-1, -3, -3, -np.inf], [-np.inf] * 4]

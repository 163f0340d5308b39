"""Re-ranking of candidates by a scorer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.evaluation.systems import Ranking, rank_bm25, rerank
from ance.model.cross_encoder import CrossEncoder
from tests.system.tiny import DEV, write_beir, write_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("salad")
    encoder = write_encoder(folder / "encoder")
    prepare(Beir(write_beir(folder / "beir")), Tokenizer.load(encoder), folder / "dataset")
    return folder


def test_the_first_candidates_are_ordered_by_their_scores(folder: Path) -> None:
    dataset = Dataset.open(folder / "dataset")
    model = CrossEncoder.start(str(folder / "encoder"), max_tokens=24)
    candidates = rank_bm25(dataset, "dev", 30)
    found = rerank(model, candidates, dataset, "dev", 6)
    assert found.ids.shape == found.scores.shape == (DEV, 6)
    for query in range(DEV):
        rows = candidates.ids[query, :6].tolist()
        scores = model.score(dataset.queries("dev").full_text(query), [dataset.passages.full_text(row) for row in rows])
        assert found.ids[query].tolist() == [rows[i] for i in np.argsort(-scores)]
        np.testing.assert_allclose(found.scores[query], np.sort(scores)[::-1], rtol=1e-5)


def test_padding_stays_at_the_end_and_equal_scores_keep_their_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(folder / "dataset")
    model = CrossEncoder.start(str(folder / "encoder"), max_tokens=24)

    def same(query: str, passages: Sequence[str]) -> np.ndarray:
        return np.ones(len(passages), np.float32)

    monkeypatch.setattr(model, "score", same)
    ids = np.array([[7, 3, -1], [-1, -1, -1]])
    found = rerank(model, Ranking(ids, np.zeros(ids.shape, np.float32)), dataset, "dev", 3)
    np.testing.assert_array_equal(found.ids, ids)
    assert found.scores.tolist() == [[1, 1, -np.inf], [-np.inf] * 3]

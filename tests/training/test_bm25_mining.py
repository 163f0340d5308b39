"""BM25's negatives of a training split."""

from pathlib import Path

import numpy as np
import pytest

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.negatives.config import NegativesConfig
from ance.retrieval.bm25 import BM25
from ance.training.bm25_mining import mine_bm25
from tests.system.tiny import TRAIN, with_answers, write_beir, write_encoder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("salad")
    prepare(Beir(write_beir(folder / "beir")), Tokenizer.load(write_encoder(folder / "encoder")), folder / "dataset")
    return Dataset.open(folder / "dataset")


@pytest.fixture(scope="module")
def bm25(dataset: Dataset) -> BM25:
    return BM25.build(dataset.passages.full_texts())


def test_candidates_are_bm25s_ranking_without_the_positive(dataset: Dataset, bm25: BM25) -> None:
    # Settings that compare scores with those of an encoder change nothing.
    config = NegativesConfig(candidates=15, sample=5, relative_margin=0.5, sampling="simans")
    mined = mine_bm25(dataset, bm25, config)
    ids, _ = bm25.search(list(dataset.queries("train").full_texts()), 16)
    assert mined.dropped["known_positive"] > TRAIN / 2 and "margin" not in mined.dropped
    for query in range(TRAIN):  # passage q is the positive of query q
        expected = [row for row in ids[query].tolist() if row not in (query, -1)][:15]
        assert mined.candidates[query, : len(expected)].tolist() == expected
        drawn = mined.negatives[query][mined.negatives[query] >= 0]
        assert np.isin(drawn, expected).all() and len(drawn) == min(5, len(expected))


def test_candidates_that_hold_an_answer_are_dropped_and_counted(dataset: Dataset, bm25: BM25, tmp_path: Path) -> None:
    config = NegativesConfig(candidates=15, sample=5)
    before = mine_bm25(dataset, bm25, config)
    texts = [document["text"].split() for document in dataset.passages.documents]
    word = texts[before.candidates[0, 0]][0]
    answered = with_answers(dataset, tmp_path, {0: [word]})
    mined = mine_bm25(answered, bm25, config.model_copy(update={"exclude_answers": True}))
    held = [word in texts[row] for row in before.candidates[0].tolist() if row >= 0]
    assert 0 < sum(held) <= mined.dropped["answer"]
    assert not any(word in texts[row] for row in mined.candidates[0].tolist() if row >= 0)
    np.testing.assert_array_equal(mined.candidates[1:], before.candidates[1:])


def test_a_data_set_without_answers_is_refused_where_they_are_asked_for(dataset: Dataset, bm25: BM25) -> None:
    with pytest.raises(AnceError, match="split 'train': its queries have no answers"):
        mine_bm25(dataset, bm25, NegativesConfig(exclude_answers=True))

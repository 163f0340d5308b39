from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from ance.model.cross_encoder import CrossEncoder
from ance.retrieval.bm25 import BM25
from ance.retrieval.fusion import reciprocal_rank_fusion
from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from services.search_api.web.problems import NO_BM25, NO_INDEX, NO_RERANKER
from services.search_api.web.responses import VERSION_HEADER
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import PASSAGES, TinyRun


def test_before_the_first_index_it_lives_but_is_not_ready_and_answers_503(live: Live) -> None:
    assert live.client.get("/healthz").status_code == 200
    assert live.client.get("/readyz").status_code == 503
    response = live.client.post("/v1/search", json={"query": "red"})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"]
    assert response.json()["type"] == NO_INDEX


def test_it_answers_with_the_nearest_passages_of_the_published_version(live: Live, run: TinyRun) -> None:
    ref = run.publish(3)
    live.wait_for_version(3)
    assert live.client.get("/readyz").status_code == 200
    response = live.client.post("/v1/search", json={"query": "fast red", "top_k": 5})
    assert response.status_code == 200
    assert response.headers[VERSION_HEADER] == "3"
    body = response.json()
    assert (body["index"]["version"], body["index"]["checkpoint_step"]) == (3, 3)
    assert body["index"]["age_seconds"] == pytest.approx(0, abs=60)
    assert ref.created_at > 0 and body["index"]["created_at"].endswith("Z")
    [result] = body["results"]
    expected = run.expected(3, "fast red", 5)
    assert [hit["id"] for hit in result["hits"]] == [key for key, _ in expected]
    assert [hit["score"] for hit in result["hits"]] == pytest.approx([score for _, score in expected], rel=1e-4)
    assert all((hit["title"], hit["text"]) == PASSAGES[hit["id"]] for hit in result["hits"])


def test_the_stages_of_a_request_sum_up_to_its_total(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    timings = live.client.post("/v1/search", json={"query": "red"}).json()["timings"]
    total = timings.pop("total")
    assert set(timings) == {"queue", "encode", "search", "rerank", "fetch"}
    assert sum(timings.values()) == pytest.approx(total, abs=1e-6)


def test_several_queries_are_answered_in_order(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    queries = ["green", "slow cat", "large house"]
    results = live.client.post("/v1/search", json={"queries": queries, "top_k": 2}).json()["results"]
    assert [[hit["id"] for hit in result["hits"]] for result in results] == [
        [key for key, _ in run.expected(1, query, 2)] for query in queries
    ]


def test_asking_for_more_than_there_is_returns_all(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    [result] = live.client.post("/v1/search", json={"query": "red", "top_k": 1000}).json()["results"]
    assert {hit["id"] for hit in result["hits"]} == set(PASSAGES)


def test_an_invalid_request_names_its_fields(live: Live) -> None:
    response = live.client.post("/v1/search", json={"query": "red", "queries": ["green"], "top_k": 0})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["#/top_k"]
    response = live.client.post("/v1/search", json={"query": "red", "queries": ["green"]})
    assert response.json()["errors"] == [{"pointer": "#", "detail": "give exactly one of 'query' and 'queries'"}]


def test_every_answer_under_swaps_is_wholly_from_one_version(live: Live, run: TinyRun) -> None:
    steps, query = (1, 2, 3), "slow green cat"
    run.publish(1)
    live.wait_for_version(1)
    stop = False

    def ask() -> list[dict[str, Any]]:
        answers = []
        while not stop:
            response = live.client.post("/v1/search", json={"query": query, "top_k": 8})
            assert response.status_code == 200
            assert response.headers[VERSION_HEADER] == str(response.json()["index"]["version"])
            answers.append(response.json())
        return answers

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask) for _ in range(4)]
        try:
            for step in steps[1:]:
                run.publish(step)
                live.wait_for_version(step)
        finally:
            stop = True
    answers = [answer for asked in asking for answer in asked.result()]
    expected = {step: run.expected(step, query, 8) for step in steps}
    assert {answer["index"]["version"] for answer in answers} == set(steps)
    for answer in answers:
        hits = answer["results"][0]["hits"]
        wanted = expected[answer["index"]["version"]]
        assert [hit["id"] for hit in hits] == [key for key, _ in wanted]
        assert [hit["score"] for hit in hits] == pytest.approx([score for _, score in wanted], rel=1e-4)


def test_requests_and_stages_are_measured(live: Live, run: TinyRun, metrics: SearchMetrics) -> None:
    live.client.post("/v1/search", json={"query": "red"})
    run.publish(4)
    live.wait_for_version(4)
    live.client.post("/v1/search", json={"query": "red"})

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"ance_search_{name}", labels)

    live.wait_until(lambda: value("requests_total", mode="dense", code="200") == 1)  # counted after it is answered
    assert value("requests_total", mode="dense", code="503") == 1
    assert value("request_duration_seconds_count", mode="dense") == 2
    stages = ("queue", "encode", "search", "fetch")
    assert [value("stage_duration_seconds_count", mode="dense", stage=stage) for stage in stages] == [1] * 4
    assert value("index_step") == 4
    assert value("index_swaps_total", result="activated") == 1


def ids(result: dict[str, Any]) -> list[str]:
    return [hit["id"] for hit in result["hits"]]


def test_get_and_post_give_the_same_answer(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    posted = live.client.post("/v1/search", json={"query": "fast red", "top_k": 4, "fields": ["title"]})
    got = live.client.get("/v1/search", params={"q": "fast red", "top_k": 4, "fields": "title"})
    assert posted.json()["results"] == got.json()["results"]
    assert got.headers[VERSION_HEADER] == "2"


def test_only_the_fields_that_were_asked_for_are_returned(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    for fields in ([], ["title"], ["text"], ["title", "text"]):
        response = live.client.post("/v1/search", json={"query": "red", "fields": fields})
        assert all(set(hit) == {"id", "score", *fields} for hit in response.json()["results"][0]["hits"])


def test_bm25_ranks_by_terms_and_names_no_index(ready: tuple[Live, TinyRun]) -> None:
    live, run = ready
    body = live.client.post("/v1/search", json={"query": "fast red", "top_k": 6, "mode": "bm25"}).json()
    passages = run.dataset.passages
    [rows], [scores] = BM25.build(passages.full_texts()).search(["fast red"], 6)
    assert ids(body["results"][0]) == [passages.ids[row] for row in rows]
    assert [hit["score"] for hit in body["results"][0]["hits"]] == pytest.approx(scores.tolist())
    assert "index" not in body and "reranker" not in body


def test_rerank_orders_the_first_of_bm25_by_the_cross_encoder(ready: tuple[Live, TinyRun]) -> None:
    live, run = ready
    request = {"query": "fast red", "top_k": 5, "mode": "rerank", "candidates": 12}
    body = live.client.post("/v1/search", json=request).json()
    passages = run.dataset.passages
    [rows], _ = BM25.build(passages.full_texts()).search(["fast red"], 12)
    texts = [f"{PASSAGES[passages.ids[row]][0]} {PASSAGES[passages.ids[row]][1]}" for row in rows]
    scores = CrossEncoder.load(run.path(run.layout.reranker(1))).score("fast red", texts)
    best = np.argsort(-scores, kind="stable")[:5]
    assert ids(body["results"][0]) == [passages.ids[rows[position]] for position in best]
    assert [hit["score"] for hit in body["results"][0]["hits"]] == pytest.approx(scores[best].tolist(), rel=1e-4)
    assert body["reranker"]["step"] == 1
    assert body["timings"]["rerank"] > 0


def test_hybrid_fuses_the_dense_and_the_sparse_ranking(ready: tuple[Live, TinyRun]) -> None:
    live, run = ready
    request = {"query": "slow green", "top_k": 7, "mode": "hybrid", "candidates": 20}
    body = live.client.post("/v1/search", json=request).json()
    passages = run.dataset.passages
    dense = passages.rows_of([key for key, _ in run.expected(2, "slow green", 20)])
    [sparse], _ = BM25.build(passages.full_texts()).search(["slow green"], 20)
    rows, scores = reciprocal_rank_fusion([dense, sparse], 7)
    assert ids(body["results"][0]) == [passages.ids[row] for row in rows]
    assert [hit["score"] for hit in body["results"][0]["hits"]] == pytest.approx(scores.tolist())
    assert body["index"]["version"] == 2


@pytest.mark.parametrize("mode", ["dense", "bm25", "rerank", "hybrid"])
def test_a_filter_holds_in_every_mode(ready: tuple[Live, TinyRun], mode: str) -> None:
    live, _ = ready
    request = {"query": "fast red", "top_k": 56, "mode": mode}
    everything = ids(live.client.post("/v1/search", json=request).json()["results"][0])
    only = {"ids": [*everything[1:5], "no such id"]}
    found = ids(live.client.post("/v1/search", json=request | {"filter": only}).json()["results"][0])
    assert set(found) == set(everything[1:5])
    without = {"exclude_ids": everything[:3]}
    found = ids(live.client.post("/v1/search", json=request | {"filter": without}).json()["results"][0])
    assert set(found) == set(everything[3:])


def test_filtered_dense_hits_keep_their_order_and_scores(ready: tuple[Live, TinyRun]) -> None:
    live, run = ready
    expected = run.expected(2, "blue", 56)
    chosen = [key for key, _ in expected][::7]
    body = live.client.post("/v1/search", json={"query": "blue", "top_k": 4, "filter": {"ids": chosen}}).json()
    wanted = [(key, score) for key, score in expected if key in chosen][:4]
    assert ids(body["results"][0]) == [key for key, _ in wanted]
    assert [hit["score"] for hit in body["results"][0]["hits"]] == pytest.approx([s for _, s in wanted], rel=1e-4)


def test_compare_puts_both_answers_and_their_overlap_side_by_side(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    body = live.client.post("/v1/compare", json={"query": "fast red", "top_k": 8}).json()
    for mode in ("dense", "rerank"):
        alone = live.client.post("/v1/search", json={"query": "fast red", "top_k": 8, "mode": mode}).json()
        assert ids(body[mode]["results"][0]) == ids(alone["results"][0])
    dense, rerank = (ids(body[mode]["results"][0]) for mode in ("dense", "rerank"))
    both = [key for key in dense if key in rerank]
    assert body["overlap"] == {"count": len(both), "ratio": len(both) / 8, "ids": both}
    seconds = [body[mode]["timings"]["total"] for mode in ("dense", "rerank")]
    assert body["speed_up"] == pytest.approx(seconds[1] / seconds[0])


def test_without_a_reranker_rerank_is_unavailable_and_the_rest_works(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    for path, body in (("/v1/search", {"query": "red", "mode": "rerank"}), ("/v1/compare", {"query": "red"})):
        response = live.client.post(path, json=body)
        assert (response.status_code, response.json()["type"]) == (503, NO_RERANKER)
        assert "ance reranker train" in response.json()["detail"]
    assert live.client.post("/v1/search", json={"query": "red"}).status_code == 200


def test_bm25_may_be_switched_off(run: TinyRun) -> None:
    with serving(lambda draining: create_app(run.open(bm25=False), SearchMetrics(), draining)) as live:
        live.wait_until(lambda: live.client.get("/startupz").status_code == 200)
        response = live.client.get("/v1/search", params={"q": "red", "mode": "bm25"})
        assert (response.status_code, response.json()["type"]) == (503, NO_BM25)
        assert "ANCE_BM25" in response.json()["detail"]

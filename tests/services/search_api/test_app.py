from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ance.runtime.metrics import SearchMetrics
from services.search_api.app import VERSION_HEADER
from services.search_api.problems import NO_INDEX
from tests.services.search_api.live import Live
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
    assert set(timings) == {"queue", "encode", "search", "fetch"}
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

    assert value("requests_total", mode="dense", code="503") == 1
    assert value("requests_total", mode="dense", code="200") == 1
    assert value("request_duration_seconds_count", mode="dense") == 2
    assert [value("stage_duration_seconds_count", stage=s) for s in ("queue", "encode", "search", "fetch")] == [1] * 4
    assert value("index_step") == 4
    assert value("index_swaps_total", result="activated") == 1


def test_the_openapi_document_describes_problems(live: Live) -> None:
    responses = live.client.get("/openapi.json").json()["paths"]["/v1/search"]["post"]["responses"]
    assert set(responses) == {"200", "422", "503"}
    assert set(responses["503"]["content"]) == {"application/problem+json"}
    assert set(responses["422"]["content"]) == {"application/problem+json"}

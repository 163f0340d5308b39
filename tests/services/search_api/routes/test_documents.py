from services.search_api.web.problems import NO_DOCUMENTS, UNKNOWN_DOCUMENT
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import PASSAGES, TinyRun


def test_a_document_is_found_by_its_id(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    title, text = PASSAGES["p7"]
    assert live.client.get("/v1/documents/p7").json() == {"id": "p7", "title": title, "text": text}


def test_an_unknown_document_is_a_problem_of_its_own(ready: tuple[Live, TinyRun]) -> None:
    live, _ = ready
    for unknown in ("p56", "a/b", "%00", "%F0%9F%99%82", "p7/"):
        response = live.client.get(f"/v1/documents/{unknown}")
        assert (response.status_code, response.json()["type"]) == (404, UNKNOWN_DOCUMENT), unknown


def test_before_the_documents_are_open_they_are_unavailable(run: TinyRun, live: Live) -> None:
    response = live.client.get("/v1/documents/p7")
    assert response.status_code == 200 or response.json()["type"] == NO_DOCUMENTS
    live.wait_until(lambda: live.client.get("/v1/documents/p7").status_code == 200)


def test_examples_are_queries_of_the_data_set(ready: tuple[Live, TinyRun]) -> None:
    live, run = ready
    held_out = [document["text"] for document in run.dataset.queries("dev").documents]
    queries = live.client.get("/v1/examples").json()["queries"]
    assert queries[: len(held_out)] == held_out[:8]
    assert len(queries) == 8

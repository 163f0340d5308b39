import httpx

from ance.runtime.artifacts import published
from services.search_api.web.problems import UNKNOWN_VERSION
from tests.services.search_api.live import Live
from tests.services.search_api.tiny_run import TinyRun


def states(live: Live) -> dict[int, str]:
    return {entry["version"]: entry["state"] for entry in live.client.get("/v1/indexes").json()["indexes"]}


def rollback(live: Live, version: int | str) -> httpx.Response:
    return live.client.post("/v1/indexes/rollback", json={"version": version})


def test_the_versions_in_the_store_are_listed_with_what_became_of_them(live: Live, run: TinyRun) -> None:
    assert live.client.get("/v1/indexes").json() == {"serving": None, "pinned": None, "swap": "idle", "indexes": []}
    run.publish(1)
    live.wait_for_version(1)
    run.publish(2)
    live.wait_for_version(2)
    run.publish_index(run.publish_checkpoint(3), change=lambda vectors: vectors[:, :8].copy())
    live.wait_until(lambda: states(live).get(3) == "refused")
    assert states(live) == {3: "refused", 2: "serving", 1: "previous"}
    [refused, *_] = live.client.get("/v1/indexes").json()["indexes"]
    assert "8 dimensions" in refused["reason"]


def test_a_rollback_holds_at_a_version_until_it_is_unpinned(live: Live, run: TinyRun) -> None:
    for step in (1, 2):
        run.publish(step)
        live.wait_for_version(step)
    assert rollback(live, 1).json()["pinned"] == 1
    live.wait_for_version(1)
    run.publish(3)
    listed = live.client.get("/v1/indexes").json()
    assert (listed["serving"], listed["pinned"]) == (1, 1)
    hits = live.client.post("/v1/search", json={"query": "red"}).json()["results"][0]["hits"]
    assert [hit["id"] for hit in hits] == [key for key, _ in run.expected(1, "red", 10)]
    assert live.client.post("/v1/indexes/unpin", json={}).json()["pinned"] is None
    live.wait_for_version(3)


def test_the_version_that_is_best_on_dev_can_be_pinned_by_that_name(live: Live, run: TinyRun) -> None:
    for step in (1, 2):
        run.publish(step)
        live.wait_for_version(step)
    response = rollback(live, "best")
    assert (response.status_code, response.json()["type"]) == (404, UNKNOWN_VERSION)
    best = published(run.store, run.layout.index(1))
    assert best is not None
    run.store.move_pointer(run.layout.pointer("best"), best)
    assert rollback(live, "best").json()["pinned"] == 1
    live.wait_for_version(1)


def test_a_version_that_is_not_in_the_store_cannot_be_pinned(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    response = rollback(live, 7)
    assert (response.status_code, response.json()["type"]) == (404, UNKNOWN_VERSION)
    assert live.client.get("/v1/indexes").json()["pinned"] is None


def test_a_store_that_may_not_be_written_refuses_a_rollback_and_says_so(live: Live, run: TinyRun) -> None:
    run.publish(1)
    live.wait_for_version(1)
    # Root may write anywhere: a file in the way of the folder's lock refuses everybody.
    run.path(run.layout.pointer("pin")).mkdir()
    response = rollback(live, 1)
    assert response.status_code == 503
    assert "pin.json" in response.json()["detail"]
    assert live.client.post("/v1/search", json={"query": "red"}).status_code == 200

"""The reranker cannot starve dense search: whatever it is busy with, the others go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from ance.model.cross_encoder import CrossEncoder
from ance.runtime.metrics import SearchMetrics
from services.search_api.app import create_app
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import TinyRun

DOCUMENTS = {"query": "red", "documents": ["the slow green cat"] * 200}


class Busy:
    """A cross-encoder that is busy until it is released."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.released = threading.Event()

    def score(self, _: Any, __: str, texts: list[str], should_stop: object = None) -> Any:
        self.began.release()
        assert self.released.wait(60)
        return np.zeros(len(texts), np.float32)


@contextmanager
def reranking(live: Live, busy: Busy) -> Iterator[list[int]]:
    """A request to rerank that is under way in the block and finished with it: its status."""
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(live.client.post("/v2/rerank", json=DOCUMENTS).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        busy.released.set()
        thread.join()


@pytest.fixture
def live(run: TinyRun) -> Iterator[Live]:
    run.publish(1)
    run.publish_reranker(1)
    opened = run.open(poll_seconds=0.02, max_queued_pairs=250)
    with serving(lambda draining: create_app(opened, SearchMetrics(), draining)) as live:
        live.wait_for_version(1)
        live.wait_for_modes()
        yield live


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, live: Live) -> Busy:
    busy = Busy()
    monkeypatch.setattr(CrossEncoder, "score", lambda *arguments, **options: busy.score(*arguments, **options))
    return busy


def test_while_the_reranker_is_busy_the_other_modes_answer(live: Live, busy: Busy) -> None:
    with reranking(live, busy) as statuses:
        assert busy.began.acquire(timeout=20)
        for mode in ("dense", "bm25", "hybrid"):
            assert live.client.post("/v1/search", json={"query": "red", "mode": mode}).status_code == 200
        assert live.client.get("/v1/documents/p1").status_code == 200
        assert statuses == []
    assert statuses == [200]


def test_a_full_reranker_turns_away_reranking_only(live: Live, busy: Busy) -> None:
    with reranking(live, busy):
        assert busy.began.acquire(timeout=20)
        response = live.client.post("/rerank", json={"query": "red", "texts": ["red"] * 100})
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        assert response.json()["error_type"] == "overloaded"
        assert live.client.post("/v1/search", json={"query": "red"}).status_code == 200


def test_what_a_client_no_longer_waits_for_makes_room(live: Live, busy: Busy) -> None:
    impatient = {"X-Request-Timeout": "0.2"}
    for _ in range(6):  # of which only one fits at once
        assert live.client.post("/v2/rerank", json=DOCUMENTS, headers=impatient).status_code == 504
    busy.released.set()
    assert live.client.post("/v2/rerank", json=DOCUMENTS).status_code == 200

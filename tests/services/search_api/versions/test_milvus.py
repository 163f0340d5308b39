"""Versions whose index is in Milvus: swapped, refused and missed as those in files are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from ance.errors import AnceError
from ance.runtime.metrics import SearchMetrics
from ance.runtime.milvus.engine import Milvus
from services.search_api.app import create_app
from services.search_api.engine.dense import DenseAnswer, DenseRequest, DenseSearch
from services.search_api.engine.errors import NotReady
from services.search_api.versions.corpus import Corpus
from services.search_api.versions.follower import IndexFollower
from tests.milvus_server import MilvusServer, milvus_server, mortal_milvus, running
from tests.services.search_api.live import Live, serving
from tests.services.search_api.tiny_run import TinyRun

__all__ = ["milvus_server", "mortal_milvus"]

QUERY = "fast red"
PATIENCE_SECONDS = 1.0


@pytest.fixture
def in_milvus(run: TinyRun, mortal_milvus: MilvusServer) -> TinyRun:
    """A run in a Milvus of its own."""
    return run.in_milvus(mortal_milvus.settings())


@pytest.fixture
def follower(in_milvus: TinyRun, metrics: SearchMetrics) -> IndexFollower:
    opened = in_milvus.open(fetch_retry_seconds=0.01)
    return IndexFollower(opened, metrics, Corpus(opened))


@pytest.fixture
def live(in_milvus: TinyRun, metrics: SearchMetrics) -> Iterator[Live]:
    with serving(lambda draining: create_app(in_milvus.open(poll_seconds=0.02), metrics, draining)) as live:
        yield live


def step(follower: IndexFollower) -> int | None:
    return None if follower.current is None else follower.current.step


def swaps(metrics: SearchMetrics, result: str) -> float | None:
    return metrics.registry.get_sample_value("ance_search_index_swaps_total", {"result": result})


def hits(live: Live, **asked: object) -> httpx.Response:
    return live.client.post("/v1/search", json={"query": QUERY, "top_k": 5, **asked})


def test_a_service_swaps_from_one_collection_to_the_next(in_milvus: TinyRun, live: Live) -> None:
    for newest in (1, 2):
        in_milvus.publish(newest)
        in_milvus.backend.tidy()
        live.wait_for_version(newest)
        answer = hits(live).json()
        expected = in_milvus.expected(newest, QUERY, 5)
        found = [(hit["id"], hit["score"]) for hit in answer["results"][0]["hits"]]
        assert [key for key, _ in found] == [key for key, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)
        assert answer["index"]["version"] == newest
        best = expected[0][0]
        only = hits(live, filter={"ids": ["p3", best]}).json()["results"][0]["hits"]
        others = hits(live, filter={"exclude_ids": [best]}).json()["results"][0]["hits"]
        assert (only[0]["id"], len(only)) == (best, 2)
        assert [hit["id"] for hit in others][:4] == [key for key, _ in expected[1:]]


def test_while_milvus_is_away_clients_are_told_to_come_back_and_then_answered(
    in_milvus: TinyRun, live: Live, mortal_milvus: MilvusServer
) -> None:
    in_milvus.publish(1)
    live.wait_for_version(1)
    mortal_milvus.stop()
    for filtered in ({}, {"filter": {"ids": ["p3"]}}):
        missed = hits(live, **filtered)
        assert (missed.status_code, missed.headers["Retry-After"]) == (503, "5")
        assert missed.json()["type"] == "urn:ance:problem:no-index"
    mortal_milvus.start()
    in_milvus.publish(2)  # after a restart nothing is loaded but what is opened
    live.wait_for_version(2)
    assert hits(live).status_code == 200


class Stalling(grpc.ServerInterceptor):
    """Lets searches wait for an answer, once `stalled` is set."""

    def __init__(self) -> None:
        self.stalled = False

    def intercept_service(self, continuation: Callable[..., Any], call: grpc.HandlerCallDetails) -> Any:
        if self.stalled and call.method.endswith("/Search"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: time.sleep(2 * PATIENCE_SECONDS))
        return continuation(call)


@pytest.mark.usefixtures("milvus_server")
def test_a_batch_waits_only_once_for_an_engine_that_does_not_answer(
    run: TinyRun, metrics: SearchMetrics, tmp_path: Path
) -> None:
    with running(MilvusServer(tmp_path / "milvus", interceptors=[stalling := Stalling()])) as server:
        in_milvus = run.in_milvus(server.settings(milvus_timeout_seconds=PATIENCE_SECONDS))
        opened = in_milvus.open()
        follower = IndexFollower(opened, metrics, Corpus(opened))
        in_milvus.publish(1)
        follower.poll()
        assert step(follower) == 1
        stalling.stalled = True
        began = time.perf_counter()
        answers = asyncio.run(ask_at_once(DenseRequest((QUERY,), 16, 3, fields=()), 20, follower, metrics))
        assert time.perf_counter() - began < 8 * PATIENCE_SECONDS, "one after the other, they would wait 20 times"
        assert len(answers) == 20 and all(isinstance(answer, NotReady) for answer in answers)


async def ask_at_once(
    request: DenseRequest, times: int, follower: IndexFollower, metrics: SearchMetrics
) -> list[DenseAnswer | BaseException]:
    dense = DenseSearch(lambda: follower.current, metrics, batch_tokens=4096, wait_seconds=0.002)
    serving = asyncio.create_task(dense.serve())
    answers = await asyncio.gather(*(dense.submit(request) for _ in range(times)), return_exceptions=True)
    serving.cancel()
    dense.close()
    return answers


@pytest.mark.parametrize("policy", ["availability", "resource"])
def test_a_version_is_tried_again_when_milvus_was_away(
    in_milvus: TinyRun, metrics: SearchMetrics, mortal_milvus: MilvusServer, policy: str
) -> None:
    opened = in_milvus.open(fetch_retry_seconds=0.01, swap_policy=policy)
    follower = IndexFollower(opened, metrics, Corpus(opened))
    in_milvus.publish(1)
    follower.poll()
    in_milvus.publish(2)
    mortal_milvus.stop()
    follower.poll()
    assert (swaps(metrics, "failed"), swaps(metrics, "refused")) == (1, 0)
    assert step(follower) == (1 if policy == "availability" else None)
    mortal_milvus.start()
    time.sleep(0.01)
    follower.poll()
    assert (step(follower), swaps(metrics, "activated")) == (2, 2)


@pytest.mark.usefixtures("milvus_server")
def test_with_policy_resource_the_old_version_is_back_when_the_new_one_gets_no_answer(
    run: TinyRun, metrics: SearchMetrics, tmp_path: Path
) -> None:
    with running(MilvusServer(tmp_path / "milvus", interceptors=[stalling := Stalling()])) as server:
        in_milvus = run.in_milvus(server.settings(milvus_timeout_seconds=PATIENCE_SECONDS))
        opened = in_milvus.open(swap_policy="resource")
        follower = IndexFollower(opened, metrics, Corpus(opened))
        in_milvus.publish(1)
        follower.poll()
        in_milvus.publish(2)
        stalling.stalled = True
        follower.poll()
        assert (step(follower), swaps(metrics, "failed"), swaps(metrics, "refused")) == (1, 1, 0)


def test_a_version_whose_collection_is_gone_or_torn_is_refused(
    in_milvus: TinyRun, follower: IndexFollower, metrics: SearchMetrics, mortal_milvus: MilvusServer
) -> None:
    milvus = Milvus(mortal_milvus.settings())
    in_milvus.publish(1)
    follower.poll()
    kept = set(milvus.collections())
    in_milvus.publish(2)
    for name in set(milvus.collections()) - kept:
        milvus.drop(name)
    follower.poll()
    follower.poll()
    assert (step(follower), swaps(metrics, "refused"), swaps(metrics, "failed")) == (1, 1, 0)


def test_without_the_address_of_milvus_no_replica_starts(in_milvus: TinyRun, metrics: SearchMetrics) -> None:
    opened = in_milvus.open(milvus_uri="")
    with pytest.raises(AnceError, match="set ANCE_MILVUS_URI"):
        create_app(opened, metrics, draining=lambda: False)

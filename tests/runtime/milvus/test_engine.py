"""The way to Milvus: token, certificate, deadline, and what is said when one of them is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from ance.errors import AnceError, TemporaryError
from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.errors import MilvusAway, MilvusRefusal
from ance.runtime.milvus.kind import IndexKind
from tests.milvus_server import Doorman, MilvusServer, running
from tests.runtime.tls import Authority

FLAT = IndexKind(index_type="FLAT")
VECTORS = np.eye(4, dtype=np.float32)


@pytest.mark.usefixtures("milvus_server")
def test_a_wrong_token_is_said_to_be_wrong_and_may_be_mended_later(tmp_path: Path) -> None:
    with running(MilvusServer(tmp_path / "milvus", interceptors=[Doorman("root:secret")])) as server:
        with pytest.raises(MilvusAway, match="refuses ANCE_MILVUS_TOKEN") as refused:
            Milvus(server.settings(milvus_token="root:wrong")).collections()
        assert isinstance(refused.value, TemporaryError)
        assert "wrong" not in str(refused.value) and "secret" not in str(refused.value)
        assert Milvus(server.settings(milvus_token="root:secret")).collections() == []


@pytest.mark.usefixtures("milvus_server")
def test_a_certificate_is_checked_against_the_authority_of_the_settings(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with running(MilvusServer(tmp_path / "milvus", keys=ours.issue("milvus"))) as server:
        assert Milvus(server.settings(milvus_ca_file=ours.certificate)).collections() == []
        with pytest.raises(MilvusAway, match=r"does not answer.*check ANCE_MILVUS_URI"):
            Milvus(server.settings(milvus_ca_file=other.certificate, milvus_timeout_seconds=0.5)).collections()


def test_a_server_that_is_not_there_is_an_error_within_the_deadline(mortal_milvus: MilvusServer) -> None:
    mortal_milvus.stop()
    began = time.monotonic()
    try:
        with pytest.raises(MilvusAway, match=r"127\.0\.0\.1:\d+ does not answer .*list collections"):
            Milvus(mortal_milvus.settings(milvus_timeout_seconds=0.5)).collections()
        assert time.monotonic() - began < 3
    finally:
        mortal_milvus.start()


def test_a_connection_outlives_a_restart_of_the_server(mortal_milvus: MilvusServer) -> None:
    milvus = Milvus(mortal_milvus.settings(milvus_timeout_seconds=1.0))
    milvus.create("kept", 4, FLAT)
    mortal_milvus.stop()
    with pytest.raises(MilvusAway):
        milvus.collections()
    mortal_milvus.start()
    assert milvus.collections() == ["kept"]


def test_a_collection_that_is_not_there_is_no_outage(milvus: Milvus) -> None:
    for ask in (
        lambda: milvus.load("nowhere"),
        lambda: milvus.count("nowhere"),
        lambda: milvus.search("nowhere", VECTORS, 1, FLAT),
    ):
        with pytest.raises(MilvusRefusal, match="nowhere"):
            ask()


def test_a_collection_may_be_made_again_if_the_answer_was_lost(milvus: Milvus) -> None:
    for _ in range(2):
        milvus.create("again", 4, FLAT)
    assert milvus.collections().count("again") == 1


class Cluster(grpc.ServerInterceptor):
    """Gives answers of a cluster, where Milvus Lite never gives them: to the next calls of one kind."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.answers: list[Any] = []

    def intercept_service(self, continuation: Callable[..., Any], call: grpc.HandlerCallDetails) -> Any:
        if not self.answers or not call.method.endswith(f"/{self._method}"):
            return continuation(call)
        answer = self.answers.pop(0).SerializeToString()
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


@pytest.mark.usefixtures("milvus_server")
def test_a_kind_of_index_that_a_cluster_refuses_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    from pymilvus.grpc_gen import common_pb2

    reason = "invalid parameter[expected=valid index][actual=invalid index type: NOSUCH]"
    cluster = Cluster("CreateIndex")
    cluster.answers.append(common_pb2.Status(code=1100, reason=reason))
    with running(MilvusServer(tmp_path / "milvus", interceptors=[cluster])) as server:
        milvus = Milvus(server.settings())
        with pytest.raises(AnceError, match=r"index\.factory 'NOSUCH' with {'M': 3}, 4 dimensions") as refused:
            milvus.create("refused", 4, IndexKind(index_type="NOSUCH", build={"M": 3}))
    assert reason in str(refused.value) and not isinstance(refused.value, TemporaryError)


@contextmanager
def indexing(folder: Path, *states: tuple[str, int]) -> Iterator[Milvus]:
    """A collection `slow` whose index is in these states, one after the other, with so many rows to go."""
    from pymilvus.grpc_gen import common_pb2, milvus_pb2

    cluster = Cluster("DescribeIndex")
    with running(MilvusServer(folder, interceptors=[cluster])) as server:
        milvus = Milvus(server.settings())
        milvus.create("slow", 4, FLAT)
        for state, pending in states:
            number = common_pb2.IndexState.Value(state)
            index = milvus_pb2.IndexDescription(index_name="vector", state=number, pending_index_rows=pending)
            cluster.answers.append(milvus_pb2.DescribeIndexResponse(index_descriptions=[index]))
        yield milvus


@pytest.mark.usefixtures("milvus_server")
def test_a_collection_is_sealed_when_its_last_row_is_indexed(tmp_path: Path) -> None:
    waits: list[float] = []
    with indexing(tmp_path / "milvus", ("InProgress", 4), ("Finished", 2), ("Finished", 0)) as milvus:
        milvus.seal("slow", waits.append)
    assert len(waits) == 2


@pytest.mark.usefixtures("milvus_server")
def test_an_index_that_fails_is_no_outage_and_one_that_is_waited_for_no_longer_is(tmp_path: Path) -> None:
    failing = indexing(tmp_path / "failing", ("InProgress", 4), ("Failed", 4))
    with failing as milvus, pytest.raises(MilvusRefusal, match="could not index slow"):
        milvus.seal("slow", lambda seconds: False)
    under_way = indexing(tmp_path / "under_way", ("InProgress", 4))
    with under_way as milvus, pytest.raises(MilvusAway, match="slow is not indexed yet"):
        milvus.seal("slow", lambda seconds: True)


def test_rows_that_are_written_twice_are_there_once(milvus: Milvus) -> None:
    milvus.create("twice", 4, FLAT)
    for _ in range(2):
        milvus.put("twice", np.arange(4), np.arange(4), VECTORS)
    milvus.seal("twice")
    milvus.load("twice")
    assert milvus.count("twice") == 4
    assert [rows for rows, _ in milvus.search("twice", VECTORS, 1, FLAT)] == [[0], [1], [2], [3]]


def test_an_alias_is_made_and_then_moved(milvus: Milvus) -> None:
    for name in ("first", "second"):
        milvus.create(name, 4, FLAT)
        milvus.put(name, *2 * [np.arange(len(name))], np.ones((len(name), 4), np.float32))
        milvus.seal(name)
        milvus.load(name)
        milvus.point("newest", name)
        milvus.point("newest", name)
        assert milvus.count("newest") == len(name)


def test_what_is_not_there_may_be_dropped(milvus: Milvus) -> None:
    milvus.create("short_lived", 4, FLAT)
    for _ in range(2):
        milvus.drop("short_lived")
    assert "short_lived" not in milvus.collections()


def test_a_failure_is_raised_and_not_logged_too(milvus: Milvus, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(MilvusRefusal):
        milvus.count("nowhere")
    assert not [record for record in caplog.records if record.name.startswith("pymilvus")]


def test_without_its_package_the_extra_is_named(milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(AnceError, match=r"install the extra.*ance-kubernetes\[milvus\]"):
        Milvus(milvus_server.settings())

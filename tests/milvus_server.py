"""A real Milvus Lite behind a port of 127.0.0.1, as a cluster is behind its own, and who asks for a token there."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from ance.runtime.milvus.engine import Milvus
from ance.runtime.milvus.settings import MilvusSettings
from tests.runtime.tls import KeyPair

TIMEOUT_SECONDS = 20.0
"""Longer than a busy machine takes: tests that wait for it in vain set their own."""


class MilvusServer:
    """Serves a folder. Stopped and started again, it listens on the same port and has what was written."""

    def __init__(
        self, folder: Path, keys: KeyPair | None = None, interceptors: Sequence[grpc.ServerInterceptor] = ()
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._interceptors = interceptors
        self._port = 0

    @property
    def uri(self) -> str:
        scheme = "http" if self._keys is None else "https"
        return f"{scheme}://127.0.0.1:{self._port}"

    def settings(self, **changes: Any) -> MilvusSettings:
        """How to reach it, without waiting for what a cluster needs time for."""
        return MilvusSettings.model_validate(self.environment(**changes))

    def environment(self, **changes: Any) -> dict[str, Any]:
        """The same, for the settings of a service."""
        return {
            "milvus_uri": self.uri,
            "milvus_timeout_seconds": TIMEOUT_SECONDS,
            "milvus_build_seconds": 10.0,
            "milvus_staleness_seconds": 0.0,
            **changes,
        }

    def start(self) -> None:
        from milvus_lite.adapter.grpc.servicer import MilvusServicer
        from milvus_lite.db import MilvusLite
        from pymilvus.grpc_gen import milvus_pb2_grpc

        self._db = MilvusLite(str(self._folder))
        self._server = grpc.server(ThreadPoolExecutor(4), interceptors=self._interceptors)
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(self._db), self._server)
        self._port = self._bind(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait()
        self._db.close()

    def _bind(self, address: str) -> int:
        if self._keys is None:
            return self._server.add_insecure_port(address)
        pair = (self._keys.key.read_bytes(), self._keys.certificate.read_bytes())
        return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))


class Doorman(grpc.ServerInterceptor):
    """Asks for the token, which Milvus Lite does not, in the way that a cluster does."""

    def __init__(self, token: str) -> None:
        self._password = base64.b64encode(token.encode()).decode()

    def intercept_service(self, continuation: Callable[..., Any], call: grpc.HandlerCallDetails) -> Any:
        if ("authorization", self._password) in [tuple(pair) for pair in call.invocation_metadata]:
            return continuation(call)

        def refuse(request: object, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check api key is correct")

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextmanager
def running(server: MilvusServer) -> Iterator[MilvusServer]:
    """Run a server for the length of the block."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """One server for all tests that leave it running."""
    pytest.importorskip("pymilvus", reason="needs pymilvus (the extra `milvus`)")
    pytest.importorskip("milvus_lite", reason="needs milvus-lite (the extra `dev`)")
    with running(MilvusServer(tmp_path_factory.mktemp("milvus"))) as server:
        yield server


@pytest.fixture
def mortal_milvus(milvus_server: MilvusServer, tmp_path: Path) -> Iterator[MilvusServer]:
    """A server of the test's own, to stop and start again."""
    with running(MilvusServer(tmp_path / "milvus")) as server:
        yield server


@pytest.fixture
def milvus(milvus_server: MilvusServer) -> Milvus:
    """A connection to the shared server."""
    return Milvus(milvus_server.settings())

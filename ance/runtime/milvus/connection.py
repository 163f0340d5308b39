"""A connection to Milvus, made when it is first needed, for as long as the process lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ance.errors import AnceError
from ance.runtime.milvus.errors import translated
from ance.runtime.milvus.settings import MilvusSettings, check_address

T = TypeVar("T")

CHANNEL_OPTIONS = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
}
"""Connect again within a second after an outage. By default gRPC waits up to two minutes, and a new channel waits with
the old one."""


class Connection:
    """Asks Milvus, with a deadline and errors in our words. Several threads may share it.

    Raises:
        AnceError: the settings cannot be, or the package pymilvus is missing.
    """

    def __init__(self, settings: MilvusSettings) -> None:
        check_address(settings)
        try:
            import pymilvus  # noqa: F401
        except ImportError as error:
            raise AnceError(
                "index.backend is milvus: install the extra, pip install 'ance-kubernetes[milvus]'"
            ) from error
        # What it logs it also raises, and a traceback of each failed try says nothing more.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self._settings = settings
        self._connecting = threading.Lock()
        self._client: Any = None

    def call(self, what: str, operation: Callable[[Any, float], T], seconds: float | None = None) -> T:
        """What `operation` gives for a client of pymilvus and its deadline in seconds.

        Args:
            what: names the operation in errors.
            operation: what to do.
            seconds: its deadline (None: that of the settings).

        Raises:
            MilvusAway: Milvus does not answer, or not now.
            MilvusRefusal: it makes no sense to ask again.
        """
        with translated(what, self._settings.milvus_uri):
            return operation(self._connected(), seconds or self._settings.milvus_timeout_seconds)

    def _connected(self) -> Any:
        from pymilvus import MilvusClient

        settings = self._settings
        with self._connecting:
            if self._client is None:
                tls = {} if settings.milvus_ca_file is None else {"server_pem_path": str(settings.milvus_ca_file)}
                self._client = MilvusClient(
                    settings.milvus_uri,
                    token=settings.milvus_token.get_secret_value(),
                    db_name=settings.milvus_database,
                    timeout=settings.milvus_timeout_seconds,
                    dedicated=True,  # shared ones are found by address, whatever their certificates
                    grpc_options=CHANNEL_OPTIONS,
                    **tls,
                )
            return self._client

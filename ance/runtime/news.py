"""The news that an index was published, so that nobody has to wait for the next look at the store.

News is a hint and never the truth: it may be lost or come twice, and whoever hears it reads the pointer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from redis import Redis
from redis.exceptions import NoPermissionError

from ance.errors import AnceError, TemporaryError
from ance.runtime.outage import OutageLog
from ance.runtime.redis.address import RedisAddress
from ance.runtime.redis.client import OUTAGE, connect

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 1.0
"""Longest wait for one message, and so for the end of the thread."""
RETRY_SECONDS = 2.0


def channel(run_id: str) -> str:
    """The Pub/Sub channel of a run."""
    return f"ance:{{{run_id}}}:news"


def spread(client: Redis, run_id: str, step: int) -> None:
    """Tell all listeners that the index of `step` was published. Nobody hears it while Redis is away or refuses."""
    try:
        client.publish(channel(run_id), step)
    except (*OUTAGE, NoPermissionError) as error:
        logger.info("news of step %d not spread, search looks at the store: %s", step, error)


class NewsListener:
    """Calls `heard` from its own thread when there may be news, for the length of the block.

    That is after each message, and after each time that it has begun to listen, as something may have been missed.

    Args:
        heard: must return soon.
    """

    def __init__(self, address: RedisAddress, run_id: str, heard: Callable[[], object]) -> None:
        self._address = address
        self._channel = channel(run_id)
        self._heard = heard
        self._stopped = threading.Event()
        self._outage = OutageLog("news of indexes")
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)

    def __enter__(self) -> NewsListener:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (*OUTAGE, TemporaryError) as error:
                self._outage.began(error)
                self._stopped.wait(RETRY_SECONDS)
            except (AnceError, NoPermissionError) as error:
                logger.warning("versions are found by looking at the store only, Redis tells nothing: %s", error)
                return

    def _listen(self) -> None:
        with connect(self._address, grace_seconds=0) as client, client.pubsub(ignore_subscribe_messages=True) as news:
            news.subscribe(self._channel)
            self._outage.ended()
            self._heard()
            while not self._stopped.is_set():
                if news.get_message(timeout=LISTEN_SECONDS) is not None:
                    self._heard()

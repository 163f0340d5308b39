"""How a worker gets its next entry: abandoned ones first, then queries, then passages."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from ance.runtime.queue.entries import Delivery
from ance.runtime.queue.keys import GROUP, QueueKeys, create_groups, group_is_gone
from ance.runtime.queue.scripts import CLAIM


class QueueReader:
    """Reads the streams of a run as one worker of the consumer group.

    Args:
        worker: name of the consumer, one a process.
        lease_seconds: an entry not renewed for this long is abandoned.
    """

    def __init__(self, client: Redis, keys: QueueKeys, worker: str, lease_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._worker = worker
        self._lease_ms = int(lease_seconds * 1000)
        self._claim = client.register_script(CLAIM)

    def next(self, block_seconds: float) -> Delivery | None:
        """Deliver one entry to this worker, waiting up to `block_seconds` for a new one (0: do not wait)."""
        while True:
            try:
                return self._next(block_seconds)
            except ResponseError as error:
                if not group_is_gone(error):
                    raise
                create_groups(self._client, self._keys)

    def _next(self, block_seconds: float) -> Delivery | None:
        for stream in self._keys.streams:
            abandoned = self._abandoned(stream)
            if abandoned is not None:
                return abandoned
        # A read of both streams at once would not prefer the first.
        delivery = self._new(self._keys.queries, 0)
        return delivery if delivery is not None else self._new(self._keys.passages, block_seconds)

    def _abandoned(self, stream: str) -> Delivery | None:
        claimed = self._claim(keys=[stream], args=[GROUP, self._worker, self._lease_ms])
        if claimed is None:
            return None
        entry_id, flat, attempt, last_worker = claimed
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Delivery(stream, entry_id, fields, attempt, last_worker)

    def _new(self, stream: str, block_seconds: float) -> Delivery | None:
        # BLOCK 0 would mean for ever.
        block = max(1, int(block_seconds * 1000)) if block_seconds > 0 else None
        reply: Any = self._client.xreadgroup(GROUP, self._worker, {stream: ">"}, count=1, block=block)
        for _, entries in reply:
            for entry_id, fields in entries:
                return Delivery(stream, entry_id, fields, attempt=1)
        return None

"""The lease of a leader: one indexer coordinates a run, one trainer trains it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from redis import Redis

from ance.runtime.heartbeat import Heartbeat
from ance.runtime.redis_client import OUTAGE, OutageLog

logger = logging.getLogger(__name__)

ACQUIRE = """
-- KEYS: lease, counter. ARGV: holder, ttl in ms, floor.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local counter = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = string.format('%d', math.max(counter, tonumber(ARGV[3])) + 1)
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return tonumber(token)
"""

RENEW = """
-- KEYS: lease, counter. ARGV: holder, ttl in ms, token.
local value = redis.call('GET', KEYS[1])
if value == ARGV[3] .. ' ' .. ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(ARGV[3])
end
-- A counter past our token means that another led in between, even if it has gone again.
if value or tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[3]) then return 0 end
local token = string.format('%d', tonumber(ARGV[3]) + 1)
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return tonumber(token)
"""

RELEASE = """
-- KEYS: lease. ARGV: holder, token.
if redis.call('GET', KEYS[1]) == ARGV[2] .. ' ' .. ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RunLease:
    """Makes this process the only one of its kind in a run, for as long as it can renew.

    No lease can stop a holder that was paused and wakes up late. The fencing token can: it grows with every
    acquisition, travels in every manifest, and the store refuses an older one.

    Args:
        name: what is leased, e.g. `demo/indexer`.
        holder: who asks, e.g. the pod's name; for people to read, it need not be unique.
        ttl_seconds: without renewal, the lease is free after this long.

    Attributes:
        lost: set when another holds the lease, or no renewal succeeded for `ttl_seconds`.
        token: the fencing token to publish with. Read it anew for each manifest: it grows when Redis was
            flushed and the lease re-acquired before anyone else got it.
        reacquired: how often that happened.
    """

    def __init__(self, client: Redis, name: str, holder: str, ttl_seconds: float = 15.0) -> None:
        self.lost = threading.Event()
        self.token = 0
        self.reacquired = 0
        self._name = name
        self._holder = holder
        self._ttl = ttl_seconds
        self._ttl_ms = int(ttl_seconds * 1000)
        # Both keys share a hash tag, so that on a cluster they lie on one node.
        self._keys = [f"ance:lease:{{{name}}}", f"ance:lease:{{{name}}}:token"]
        self._acquire = client.register_script(ACQUIRE)
        self._renew = client.register_script(RENEW)
        self._release = client.register_script(RELEASE)
        self._heartbeat: Heartbeat | None = None

    def acquire(self, floor: int = 0, stop: Callable[[], bool] = lambda: False) -> int | None:
        """Wait until the lease is ours, or until `stop()`. Renews itself from then on.

        Args:
            floor: highest token known from the store: after a flush, Redis alone would start again at 1.

        Returns:
            The fencing token, higher than `floor` and than all before; None when stopped.
        """
        outage = OutageLog(f"the lease {self._name}")
        while not stop():
            try:
                token = int(self._acquire(keys=self._keys, args=[self._holder, self._ttl_ms, floor]))
                outage.ended()
            except OUTAGE as error:
                outage.began(error)
                token = 0
            if token:
                self.token = token
                self.lost.clear()
                self._heartbeat = Heartbeat(self._renewed, self._ttl, self.lost, f"lease {self._name}")
                self._heartbeat.start()
                logger.info("lease %s acquired with fencing token %d", self._name, token)
                return token
            time.sleep(min(self._ttl / 10, 1.0))
        return None

    def release(self) -> None:
        """Stop renewing and free the lease, if it is still ours. Harmless when it is not."""
        if self._heartbeat is None:
            return
        self._heartbeat.stop()
        self._heartbeat = None
        try:
            self._release(keys=self._keys[:1], args=[self._holder, self.token])
        except OUTAGE as error:
            logger.warning("redis is unreachable, lease %s runs out by itself: %s", self._name, error)

    def _renewed(self) -> bool:
        token = int(self._renew(keys=self._keys, args=[self._holder, self._ttl_ms, self.token]))
        if token > self.token:
            logger.warning("lease %s was gone from redis, re-acquired with token %d", self._name, token)
            self.token = token
            self.reacquired += 1
        return token > 0

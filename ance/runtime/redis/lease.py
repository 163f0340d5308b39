"""A leader's lease in Redis: a key that expires, and a counter beside it that does not."""

from __future__ import annotations

from redis import Redis

ACQUIRE = """
-- KEYS: lease, counter. ARGV: holder, ttl in ms, floor.
local left = redis.call('PTTL', KEYS[1])
-- More than a whole lease is left when the clock was set back: a dead leader must not reign for hours.
if left > tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if left ~= -2 then return 0 end
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


class RedisLease:
    """Keeps the lease of a `RunLease`.

    Args:
        client: from `ance.runtime.redis.client.connect`.
        name: what is leased, e.g. `demo/indexer`.
        holder: who asks, e.g. the pod's name; for people to read, it need not be unique.
        ttl_seconds: without renewal, the lease is free after this long.
    """

    server = "redis"

    def __init__(self, client: Redis, name: str, holder: str, ttl_seconds: float = 15.0) -> None:
        self.name = name
        self.ttl_seconds = ttl_seconds
        self._holder = holder
        self._ttl_ms = int(ttl_seconds * 1000)
        # Both keys share a hash tag, so that on a cluster they lie on one node.
        self._keys = [f"ance:lease:{{{name}}}", f"ance:lease:{{{name}}}:token"]
        self._acquire = client.register_script(ACQUIRE)
        self._renew = client.register_script(RENEW)
        self._release = client.register_script(RELEASE)

    def acquire(self, floor: int) -> int:
        """Ask once. Returns the fencing token, or 0 while another holds the lease."""
        return int(self._acquire(keys=self._keys, args=[self._holder, self._ttl_ms, floor]))

    def renew(self, token: int) -> int:
        """Ask for another `ttl_seconds`. Returns the token, a higher one if the lease was gone, 0 if it is lost."""
        return int(self._renew(keys=self._keys, args=[self._holder, self._ttl_ms, token]))

    def release(self, token: int) -> None:
        """Free the lease, if it is still held under `token`."""
        self._release(keys=self._keys[:1], args=[self._holder, token])

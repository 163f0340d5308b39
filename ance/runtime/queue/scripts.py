"""The atomic steps of the work queue, in Lua for Redis 6.2 and newer.

Every step of a worker first checks that the entry is still pending for this very worker. XCLAIM and XACK
alone would not ask, and take back or drop an entry which has gone to another.
"""

ENQUEUE = """
-- KEYS: entries, dead, queries, passages. ARGV: revive, then for each task: stream (3 or 4), id, step, JSON.
local added = {}
for i = 2, #ARGV, 4 do
  local stream, id = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  if ARGV[1] == '1' then redis.call('HDEL', KEYS[2], id) end
  -- The stream is the truth: a hash that points to a vanished entry does not block the task.
  local known = redis.call('HGET', KEYS[1], id)
  local queued = known and #redis.call('XRANGE', stream, known, known) > 0
  if not queued and redis.call('HEXISTS', KEYS[2], id) == 0 then
    local step, task = ARGV[i + 2], ARGV[i + 3]
    local entry = redis.call('XADD', stream, '*', 'v', '1', 'id', id, 'step', step, 'task', task)
    redis.call('HSET', KEYS[1], id, entry)
    added[#added + 1] = id
  end
end
return added
"""
"""Add the tasks that are neither outstanding nor dead (or, with revive, dead ones too). Returns their ids."""

CLAIM = """
-- KEYS: stream. ARGV: group, worker, lease in ms.
while true do
  local found = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', 1)
  if #found == 0 then return false end
  local id, last_worker, deliveries = found[1][1], found[1][2], found[1][4]
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id)
  -- A pending entry that was deleted comes back as nil on 6.2, and not at all on 7.
  if claimed[1] then return {id, claimed[1][2], deliveries + 1, last_worker} end
  redis.call('XACK', KEYS[1], ARGV[1], id)
end
"""
"""Take over the oldest abandoned entry. Returns entry id, fields, attempt, last worker; nil if there is none.

XAUTOCLAIM would not do: COUNT 1 looks at ten pending entries only, and it tells neither attempt nor worker.
"""

RESTART_CLOCKS = """
-- KEYS: stream. ARGV: group, entries to look at.
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end
local found = redis.pcall('XINFO', 'STREAM', KEYS[1], 'FULL', 'COUNT', ARGV[2])
local restarted = 0
for _, group in ipairs(found.err and {} or fields(found)['groups']) do
  group = fields(group)
  for _, pending in ipairs(group['name'] == ARGV[1] and group['pending'] or {}) do
    if pending[3] > now then
      redis.call('XCLAIM', KEYS[1], ARGV[1], pending[2], 0, pending[1], 'JUSTID')
      restarted = restarted + 1
    end
  end
end
return restarted
"""
"""Restart the idle clocks of entries that were delivered in the future, by a clock that has been set back since.

Of a dead worker's, they would otherwise not run out before that future. Looks at the oldest entries.
"""

_OWN = """
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if pending.err and not string.find(pending.err, 'NOGROUP') then return pending end
local own = not pending.err and #pending > 0
"""

RENEW = (
    "-- KEYS: stream, step. ARGV: group, worker, entry id, step of the task.\n"
    + _OWN
    + """
if not own then return 0 end
-- JUSTID restarts the idle clock and leaves the delivery count alone.
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
local step = redis.call('GET', KEYS[2])
if step and step ~= ARGV[4] then return 2 end
return 1
"""
)
"""Renew a lease. Returns 0 when it is lost, 1 when held, 2 when held but its step is cancelled."""

RELEASE = (
    "-- KEYS: stream, errors. ARGV: group, worker, entry id, deliveries to count, task id, error or ''.\n"
    + _OWN
    + """
if not own then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', 3600000, 'RETRYCOUNT', ARGV[4], 'JUSTID')
if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], ARGV[5], ARGV[6]) end
return 1
"""
)
"""Give an entry back: it looks idle for an hour, so whoever asks next claims it at once."""

_REMOVE_OWN = (
    "-- KEYS: stream, entries, errors. ARGV: group, worker, entry id, task id.\n"
    + _OWN
    + """
if own then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('XDEL', KEYS[1], ARGV[3])
  redis.call('HDEL', KEYS[2], ARGV[4])
  redis.call('HDEL', KEYS[3], ARGV[4])
end
"""
)

DISCARD = _REMOVE_OWN + "return own and 1 or 0"
"""Remove an entry that nobody wants any more. Returns whether the lease was held."""

FINISH = (
    _REMOVE_OWN
    + """
-- KEYS: ..., completed. ARGV: ..., records to keep, fields of the completion record.
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[5], '*', unpack(ARGV, 6))
return own and 1 or 0
"""
)
"""Remove an entry if still leased, and record the completion in any case: its output is in the store."""

BURY = (
    _REMOVE_OWN
    + """
-- KEYS: ..., dead. ARGV: ..., dead letter.
if own then redis.call('HSET', KEYS[4], ARGV[4], ARGV[5]) end
return own and 1 or 0
"""
)
"""Turn an entry into a dead letter. Returns whether the lease was held."""

DROP_OTHER_STEPS = """
-- KEYS: stream, entries. ARGV: group, step.
local first = '-'
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  if info['name'] == ARGV[1] then first = '(' .. info['last-delivered-id'] end
end
local dropped = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], first, '+')) do
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  if fields['step'] ~= ARGV[2] then
    redis.call('XDEL', KEYS[1], entry[1])
    if fields['id'] then redis.call('HDEL', KEYS[2], fields['id']) end
    dropped = dropped + 1
  end
end
return dropped
"""
"""Remove the entries of other steps which were never delivered. Returns how many."""

LEAVE = """
-- KEYS: streams. ARGV: group, worker.
for _, stream in ipairs(KEYS) do
  local pending = redis.pcall('XPENDING', stream, ARGV[1], '-', '+', 1, ARGV[2])
  -- DELCONSUMER would silently drop what is pending, and with it the task.
  if not pending.err and #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2]) end
end
return 1
"""
"""Forget a worker, where nothing is pending for it."""

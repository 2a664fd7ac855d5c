"""What Redis does in one step, in Lua: each script reads and writes without anybody in between.

Keys begin with KEYS[1], which names chain and site. With (owner) a contributor and (id) an update:

worker:(token)              a worker that is alive; without it the state is not the one it knew
seq:(owner):(number)        the update that has taken a number: `=id`, once committed `!id`
payload:(owner):(digest)    the same of a payload
flight:(owner)              updates in flight, by when their claims end
hold:(id)                   workers that have an update in flight, by when their hold ends
stream:(host)               open streams of an address, by when their leases end
session:(name)              one upload: what was signed, and whose it is
session:(name):missing      its missing chunks, a bitmap
session:(name):writing      chunks on their way to the disk, by when that ends
session-of:(id)             the upload of an update
sessions                    all uploads, by when they are forgotten
sessions:about              size and owner of each

Their first line says what a script may do without memory; it needs Redis 7. Every key has a time to
live. Times are Redis's own, in milliseconds, so that clocks of workers do
not matter.
"""

from typing import Final

_START: Final = """#!lua
local base = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_FREEING: Final = _START.replace("#!lua", "#!lua flags=allow-oom", 1)
"""Of scripts that give memory back: Redis runs all others only while it has some."""

_WORKER: Final = """
if redis.call('EXISTS', base .. 'worker:' .. ARGV[1]) == 0 then
  return redis.error_reply('FORGOTTEN this worker is not known')
end
"""

CLAIM: Final = (
    _START
    + _WORKER
    + """
-- token, lease, most updates of a contributor (0: no limit), then: id, owner, number, payload
local token, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function stands_in_the_way(found, id)
  return found and string.sub(found, 2) ~= id
end
local function take(key, found, id)
  if not found or string.sub(found, 1, 1) == '=' then
    redis.call('SET', key, '=' .. id, 'PX', lease)
  end
end
local answers = {}
for at = 4, #ARGV, 4 do
  local id, owner = ARGV[at], ARGV[at + 1]
  local number = base .. 'seq:' .. owner .. ':' .. ARGV[at + 2]
  local payload = base .. 'payload:' .. owner .. ':' .. ARGV[at + 3]
  local flight, hold = base .. 'flight:' .. owner, base .. 'hold:' .. id
  local by_number, by_payload = redis.call('GET', number), redis.call('GET', payload)
  redis.call('ZREMRANGEBYSCORE', flight, '-inf', now)
  local answer = 0
  if stands_in_the_way(by_number, id) then
    answer = 1
  elseif stands_in_the_way(by_payload, id) then
    answer = 2
  elseif most > 0 and not redis.call('ZSCORE', flight, id)
      and redis.call('ZCARD', flight) >= most then
    answer = 3
  else
    take(number, by_number, id)
    take(payload, by_payload, id)
    redis.call('ZADD', flight, now + lease, id)
    redis.call('PEXPIRE', flight, lease)
    redis.call('ZADD', hold, now + lease, token)
    redis.call('PEXPIRE', hold, lease)
  end
  answers[#answers + 1] = answer
end
return answers
"""
)

RELEASE: Final = (
    _FREEING
    + """
-- token, how long a used number is remembered, then: id, owner, number, payload, used
local token, used_for = ARGV[1], tonumber(ARGV[2])
for at = 3, #ARGV, 5 do
  local id, owner = ARGV[at], ARGV[at + 1]
  local hold = base .. 'hold:' .. id
  local keys = {
    base .. 'seq:' .. owner .. ':' .. ARGV[at + 2],
    base .. 'payload:' .. owner .. ':' .. ARGV[at + 3],
  }
  redis.call('ZREM', hold, token)
  redis.call('ZREMRANGEBYSCORE', hold, '-inf', now)
  local left = redis.call('ZCARD', hold) == 0
  if left then
    redis.call('ZREM', base .. 'flight:' .. owner, id)
  end
  for _, key in ipairs(keys) do
    local found = redis.call('GET', key)
    if ARGV[at + 4] == '1' then
      if not found or found == '=' .. id then
        redis.call('SET', key, '!' .. id, 'PX', used_for)
      end
    elseif left and found == '=' .. id then
      redis.call('DEL', key)
    end
  end
end
return 0
"""
)

ENTER: Final = (
    _START
    + """
-- token, lease: this worker is alive; 1 when it was known before
local known = redis.call('EXISTS', base .. 'worker:' .. ARGV[1])
redis.call('SET', base .. 'worker:' .. ARGV[1], now, 'PX', ARGV[2])
return known
"""
)

STREAM: Final = (
    _START
    + """
-- lease, most streams of an address (0: no limit), then: host, name
local lease, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local refused = 0
for at = 3, #ARGV, 2 do
  local key = base .. 'stream:' .. ARGV[at]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if most > 0 and redis.call('ZCARD', key) >= most then
    refused = refused + 1
  else
    redis.call('ZADD', key, now + lease, ARGV[at + 1])
    redis.call('PEXPIRE', key, lease)
  end
end
return refused
"""
)

STREAM_END: Final = (
    _FREEING
    + """
for at = 1, #ARGV, 2 do
  redis.call('ZREM', base .. 'stream:' .. ARGV[at], ARGV[at + 1])
end
return 0
"""
)

_SESSION: Final = """
local name = ARGV[1]
local session = base .. 'session:' .. name
local missing, writing = session .. ':missing', session .. ':writing'
local function keep(update, idle)
  redis.call('ZADD', base .. 'sessions', now + idle, name)
  for _, key in ipairs({session, missing, writing, base .. 'session-of:' .. update}) do
    redis.call('PEXPIRE', key, idle)
  end
  -- Longer than any session, so that sizes are there as long as what they are sizes of.
  redis.call('PEXPIRE', base .. 'sessions', 2 * idle)
  redis.call('PEXPIRE', base .. 'sessions:about', 2 * idle)
end
local function forget(one)
  local key = base .. 'session:' .. one
  local update = redis.call('HGET', key, 'update')
  if update then
    redis.call('DEL', base .. 'session-of:' .. update)
  end
  redis.call('DEL', key, key .. ':missing', key .. ':writing')
  redis.call('ZREM', base .. 'sessions', one)
  redis.call('HDEL', base .. 'sessions:about', one)
end
"""

SESSION_OPEN: Final = (
    _START
    + _SESSION
    + """
-- name, idle, most in all, of an owner, bytes; id, owner, bitmap, envelope, manifest, provenance
local idle, id, owner = tonumber(ARGV[2]), ARGV[6], ARGV[7]
local known = redis.call('GET', base .. 'session-of:' .. id)
if known and redis.call('EXISTS', base .. 'session:' .. known) == 1 then
  redis.call('SET', base .. 'session:' .. known .. ':missing', ARGV[8], 'PX', idle)
  name, session = known, base .. 'session:' .. known
  missing, writing = session .. ':missing', session .. ':writing'
  keep(id, idle)
  return known
end
for _, one in ipairs(redis.call('ZRANGEBYSCORE', base .. 'sessions', '-inf', now)) do
  forget(one)
end
local size = #ARGV[9] + #ARGV[10] + #ARGV[11]
local all, own, bytes = 0, 0, 0
local about = redis.call('HGETALL', base .. 'sessions:about')
for at = 2, #about, 2 do
  local part = string.find(about[at], ' ')
  all = all + 1
  bytes = bytes + tonumber(string.sub(about[at], 1, part - 1))
  if string.sub(about[at], part + 1) == owner then
    own = own + 1
  end
end
if all >= tonumber(ARGV[3]) or own >= tonumber(ARGV[4]) or bytes + size > tonumber(ARGV[5]) then
  return false
end
redis.call('HSET', session, 'update', id, 'envelope', ARGV[9], 'manifest', ARGV[10],
  'provenance', ARGV[11])
redis.call('SET', missing, ARGV[8], 'PX', idle)
redis.call('SET', base .. 'session-of:' .. id, name, 'PX', idle)
redis.call('HSET', base .. 'sessions:about', name, size .. ' ' .. owner)
keep(id, idle)
return name
"""
)

SESSION_FIND: Final = (
    _START
    + _SESSION
    + """
-- name, idle, 1 for all that was signed; bitmap and chunks that are written
local update = redis.call('HGET', session, 'update')
if not update then
  return false
end
keep(update, tonumber(ARGV[2]))
redis.call('ZREMRANGEBYSCORE', writing, '-inf', now)
local found = {redis.call('GET', missing) or '', redis.call('ZRANGE', writing, 0, -1)}
if ARGV[3] == '1' then
  found[3] = redis.call('HMGET', session, 'envelope', 'manifest', 'provenance')
end
return found
"""
)

SESSION_BEGIN: Final = (
    _START
    + _SESSION
    + """
-- name, idle, index, how long writing may take, 1 to begin; 0 begun, 1 not missing, 2 no session
local update = redis.call('HGET', session, 'update')
if not update then
  return 2
end
keep(update, tonumber(ARGV[2]))
redis.call('ZREMRANGEBYSCORE', writing, '-inf', now)
if redis.call('GETBIT', missing, ARGV[3]) == 0 or redis.call('ZSCORE', writing, ARGV[3]) then
  return 1
end
if ARGV[5] == '1' then
  redis.call('ZADD', writing, now + tonumber(ARGV[4]), ARGV[3])
  redis.call('PEXPIRE', writing, ARGV[2])
end
return 0
"""
)

SESSION_END: Final = (
    _FREEING
    + _SESSION
    + """
-- name, idle, index, 1 when it was stored
redis.call('ZREM', writing, ARGV[3])
if ARGV[4] == '1' and redis.call('EXISTS', missing) == 1 then
  redis.call('SETBIT', missing, ARGV[3], 0)
  redis.call('PEXPIRE', missing, ARGV[2])
end
return 0
"""
)

SESSION_REFILL: Final = (
    _START
    + _SESSION
    + """
-- name, idle, bitmap
if redis.call('EXISTS', session) == 1 then
  redis.call('SET', missing, ARGV[3], 'PX', ARGV[2])
end
return 0
"""
)

SESSION_CLOSE: Final = (
    _FREEING
    + _SESSION
    + """
forget(name)
return 0
"""
)

"""The Lua scripts of the session store: each is one atomic step on the keys of one conversation, or of one listing."""

from typing import Final

from chatfleet_api.sessions.attached import DIGEST_WIDTH
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.store import IDEMPOTENCY_SECONDS

REPEAT_DEPTH: Final = 64
"""Newest entries among which a repeated append is recognised: more than can come between an append and its repeat."""
FEEDBACK_KEY_WIDTH: Final = len(Feedback(None, None, "", "").key)

CREATE: Final = """
local ttl, record, updated = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'record', record, 'version', 0, 'updated', updated)
  redis.call('EXPIRE', KEYS[1], ttl)
end
"""
MESSAGES: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return redis.call('LRANGE', KEYS[2], 0, -1)
"""
APPEND: Final = (
    """
local ttl, expected, updated, epoch_of, epoch, idempotency, new, response, size, added = unpack(ARGV, 1, 10)
if new ~= '' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'record', new, 'version', 0, 'updated', updated)
end
local record, version, newest, files =
  unpack(redis.call('HMGET', KEYS[1], 'record', 'version', epoch_of, 'attachments'))
files = files or ''
if not record then return {'missing'} end
-- A repeat, after a lost reply. The first entries may be copies of another conversation's; the last is always new.
local repeated = redis.call('LPOS', KEYS[2], ARGV[#ARGV], 'RANK', -1, 'MAXLEN', DEPTH)
if repeated then return {'done', tonumber(version), record, files} end
if expected ~= '' and expected ~= version then return {'changed'} end
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1 then return {'changed'} end -- the same request, by another way
-- The fence: the message has been written under a later epoch, by the pod that took its run over.
if newest and tonumber(newest) > tonumber(epoch) then return {'changed'} end
if epoch ~= '0' then redis.call('HSET', KEYS[1], epoch_of, epoch) end
local length
for first = 11, #ARGV, 1000 do -- more at once do not fit the stack of Lua
  length = redis.call('RPUSH', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if response ~= '' then
  redis.call('HSET', KEYS[1], 'response:' .. response, length - size .. ':' .. size)
  redis.call('HINCRBY', KEYS[1], 'responses', 1)
end
if KEYS[3] then redis.call('SET', KEYS[3], idempotency, 'EX', IDEMPOTENCY_SECONDS) end
for first = 1, #added, DIGEST do
  local digest = string.sub(added, first, first + DIGEST - 1)
  if not string.find(files, digest, 1, true) then files = files .. digest end
end
if added ~= '' then redis.call('HSET', KEYS[1], 'attachments', files) end
redis.call('HSET', KEYS[1], 'version', version + 1, 'updated', updated)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return {'done', version + 1, record, files}
""".replace("DIGEST", str(DIGEST_WIDTH))
    .replace("DEPTH", str(REPEAT_DEPTH))
    .replace("IDEMPOTENCY_SECONDS", str(IDEMPOTENCY_SECONDS))
)
"""The second fence, after that of the run log: it keeps the final message of a fenced pod out of the conversation."""
UPDATE: Final = """
local ttl, before, record, updated = unpack(ARGV)
local found = redis.call('HGET', KEYS[1], 'record')
if not found then return 'missing' end
if found ~= before then return 'changed' end
redis.call('HSET', KEYS[1], 'record', record, 'updated', updated)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return 'done'
"""
REMOVE: Final = """
local ttl, updated, beginning, place, message = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local entries, changed = redis.call('LRANGE', KEYS[2], 0, -1), false
for i, entry in ipairs(entries) do
  if string.sub(entry, 1, #beginning) == beginning and entry ~= place then
    entries[i] = place
    changed = true
  end
end
if changed then -- no entry gets another place: responses know theirs
  redis.call('DEL', KEYS[2])
  for first = 1, #entries, 1000 do
    redis.call('RPUSH', KEYS[2], unpack(entries, first, math.min(first + 999, #entries)))
  end
  redis.call('HSET', KEYS[1], 'version', redis.call('HGET', KEYS[1], 'version') + 1, 'updated', updated)
  local keys, left = redis.call('HGET', KEYS[1], 'feedback') or '', ''
  for first = 1, #keys, WIDTH do
    local key = string.sub(keys, first, first + WIDTH - 1)
    if string.sub(key, 1, #message) == message then
      redis.call('HDEL', KEYS[1], 'feedback:' .. key)
    else
      left = left .. key
    end
  end
  if left ~= keys then redis.call('HSET', KEYS[1], 'feedback', left) end
end
local files, used, unused = redis.call('HGET', KEYS[1], 'attachments') or '', '', ''
for first = 1, #files, DIGEST do
  local digest, found = string.sub(files, first, first + DIGEST - 1), false
  for _, entry in ipairs(entries) do
    found = found or string.find(entry, digest, 1, true)
  end
  if found then used = used .. digest else unused = unused .. digest end
end
if unused ~= '' then redis.call('HSET', KEYS[1], 'attachments', used) end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return unused
""".replace("DIGEST", str(DIGEST_WIDTH)).replace("WIDTH", str(FEEDBACK_KEY_WIDTH))
"""Returns the digests of what was attached, and is no more."""
RESPONSE: Final = """
local place = redis.call('HGET', KEYS[1], 'response:' .. ARGV[1])
if not place then return false end
local at, size = string.match(place, '(%d+):(%d+)')
local found = redis.call('LRANGE', KEYS[2], at, at + size - 1)
local from, more = at + size, true
while more do -- later states of the answer come soon after it
  more = false
  for _, entry in ipairs(redis.call('LRANGE', KEYS[2], from, from + WINDOW - 1)) do
    if string.find(entry, ARGV[1], 1, true) then
      found[#found + 1] = entry
      more = true
    end
  end
  from = from + WINDOW
end
return {tonumber(size), found}
""".replace("WINDOW", str(REPEAT_DEPTH))
FORGET_RESPONSE: Final = """
if redis.call('HDEL', KEYS[1], 'response:' .. ARGV[1]) == 0 then return 0 end
local left = redis.call('HINCRBY', KEYS[1], 'responses', -1)
if left == 0 and cjson.decode(redis.call('HGET', KEYS[1], 'record')).listed == false then
  local files = redis.call('HGET', KEYS[1], 'attachments') or ''
  redis.call('DEL', KEYS[1], KEYS[2])
  return files
end
return 1
"""
"""Returns the digests of what was attached when the conversation went with the response, else whether there was one."""
ENQUEUE: Final = """
local mine, ttl, most = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
for _, ticket in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local seen = redis.call('HGET', KEYS[3], ticket)
  if not seen or now - seen > tonumber(ttl) then
    redis.call('ZREM', KEYS[2], ticket)
    redis.call('HDEL', KEYS[3], ticket)
  end
end
if not redis.call('ZRANK', KEYS[2], mine) then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(most) then return 'full' end
  redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[3], 'tickets', 1), mine)
end
redis.call('HSET', KEYS[3], mine, now)
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
return redis.call('ZRANK', KEYS[2], mine)
"""
"""A queue is a sorted set of tickets by arrival, and a hash of when each was last renewed and how many ever came."""
DEQUEUE: Final = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
"""
PUT_FEEDBACK: Final = """
local key, created, feedback, most = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local before = redis.call('HGET', KEYS[1], 'feedback:' .. key)
if before then
  created = string.match(before, '^[^\\n]*')
else
  local keys = redis.call('HGET', KEYS[1], 'feedback') or ''
  if #keys >= most * #key then return '' end
  redis.call('HSET', KEYS[1], 'feedback', keys .. key)
end
redis.call('HSET', KEYS[1], 'feedback:' .. key, created .. '\\n' .. feedback)
return created
"""
"""An entry is the time at which the feedback was first given, and the feedback as it is now."""
FEEDBACK: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local keys, found = redis.call('HGET', KEYS[1], 'feedback') or '', {}
for first = 1, #keys, WIDTH do
  found[#found + 1] = redis.call('HGET', KEYS[1], 'feedback:' .. string.sub(keys, first, first + WIDTH - 1))
end
return found
""".replace("WIDTH", str(FEEDBACK_KEY_WIDTH))
DELETE: Final = """
local found = redis.call('HMGET', KEYS[1], 'record', 'attachments')
redis.call('DEL', KEYS[1], KEYS[2])
return found
"""
TOUCH: Final = """
local ttl, changed, id = unpack(ARGV)
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, changed, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', changed - ttl * 1000000)
  redis.call('EXPIRE', key, ttl)
end
"""
"""The greatest change is the newest: what is older than a conversation can get is gone itself."""

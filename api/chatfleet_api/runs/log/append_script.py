"""The one command by which a pod writes what is new of its runs: a script that Redis runs as one step."""

from typing import Final

ENTRY_FIELD: Final = b"e"
"""Name of the one field of an entry: a `Batch` in JSON, on one line."""
ENTRIES_PER_STREAM: Final = 65536
"""Bound on what one run can take in Redis; 16 minutes at one entry per flush. Older entries go first."""

WRITE: Final = """
local live, ended, entries = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
local fenced = {}
for i = 1, #entries do
  local key, record = KEYS[2 * i - 1], KEYS[2 * i]
  local epoch, last, final, entry = unpack(entries[i])
  local after = epoch ~= '' and redis.call('HGET', record, 'after:' .. epoch + 1)
  if after then
    fenced[#fenced + 1] = {i, tonumber(after)}
  else
    local done = redis.pcall('XADD', key, 'MAXLEN', '~', LIMIT, last .. '-0', FIELD, entry)
    if type(done) == 'table' and done.err and not string.find(done.err, 'equal or smaller', 1, true) then
      return done
    end
    if final then
      redis.call('EXPIRE', key, ended)
      if epoch ~= '' then
        redis.call('HSET', record, 'ended', 1)
        redis.call('EXPIRE', record, ended)
      end
    elseif redis.call('XLEN', key) == 1 then
      redis.call('EXPIRE', key, live)
    end
  end
end
return fenced
""".replace("LIMIT", str(ENTRIES_PER_STREAM)).replace("FIELD", f"'{ENTRY_FIELD.decode()}'")
"""Append one entry per pair of keys, the run's events and its record (`fleet.py` describes it).

An id that is there is a repeat of ours and passed over. An entry of an epoch that has a successor is refused: returned
are its number and where the successor began. Other errors end the write.
"""

"""The one command by which a pod appends to the logs of its runs: a script that Redis runs as one step.

It checks the fencing token of each entry: what a producer appends after another pod has taken its run over is refused.
The entry that ends a run also counts what the run has used (`usage/ledger_script.py`), and queues its event for
webhooks (`webhooks/queue.py`): all in one step, or nothing.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.runs.log.write_buffer import Entry, WriteBuffer
from chatfleet_api.usage.ledger_script import SETTLING
from chatfleet_api.usage.settlement import Packed as PackedSettlement
from chatfleet_api.webhooks.queue import NOTIFYING, PackedNotice, notice_keys, packed

ENTRY_FIELD: Final = b"e"
"""Name of the one field of an entry: a `Batch` in JSON, on one line."""
ENTRIES_PER_STREAM: Final = 65536
"""Bound on what one run can take in Redis; 16 minutes at one entry per flush. Older entries go first."""

APPEND: Final = (
    SETTLING
    + NOTIFYING
    + """
local live, ended, entries = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
local fenced = {}
for i = 1, #entries do
  local key, record = KEYS[2 * i - 1], KEYS[2 * i]
  local epoch, last, final, entry, settlement, sums, notice, queues = unpack(entries[i])
  -- The fence: once a takeover has begun the next epoch, what this one appends is refused.
  local last_seq = epoch ~= '' and redis.call('HGET', record, 'last_seq:' .. epoch + 1)
  if last_seq then
    fenced[#fenced + 1] = {i, tonumber(last_seq)}
  else
    -- An id that is there is a repeat of ours, after a lost reply.
    local done = redis.pcall('XADD', key, 'MAXLEN', '~', LIMIT, last .. '-0', FIELD, entry)
    if type(done) == 'table' and done.err and not string.find(done.err, 'equal or smaller', 1, true) then
      return done
    end
    if final then
      redis.call('EXPIRE', key, ended)
      if epoch ~= '' then
        -- A run that has ended is counted: its end has come before, with a lost reply.
        if not redis.call('HGET', record, 'ended') then
          if sums > 0 then settle(sums, settlement) end
          if queues > 0 then pcall(notify, queues, notice) end -- a broken queue must not keep a run open
        end
        redis.call('HSET', record, 'ended', 1)
        redis.call('HDEL', record, 'record') -- it has the request, and no pod takes the run over
        redis.call('EXPIRE', record, ended)
      end
    elseif redis.call('XLEN', key) == 1 then
      redis.call('EXPIRE', key, live)
    end
  end
end
return fenced
""".replace("LIMIT", str(ENTRIES_PER_STREAM)).replace("FIELD", f"'{ENTRY_FIELD.decode()}'")
)
"""Append one entry per pair of keys, a run's events and its record (`fleet/redis.py` describes it).

Returns the number of each entry that was fenced off, and the last event before its successor. Other errors end the
write.
"""

Packed: TypeAlias = tuple[str | int, int, bool, str, PackedSettlement | bool, int, PackedNotice | bool, int]
Chunk: TypeAlias = Sequence[tuple[WriteBuffer, Entry]]
_pack: Final = msgspec.msgpack.Encoder().encode
"""Entries are one argument of the script: each costs the client a microsecond, and there would be four to an entry."""


async def append_entries(
    redis: RedisClient, chunk: Chunk, *, live_seconds: int, ended_seconds: int
) -> Sequence[tuple[int, int]]:
    """Append, and return which of `chunk` were fenced off (by their index), and after which event of their run.

    A run's log expires after `live_seconds`, and `ended_seconds` after its end.
    """

    def command(entries: Chunk) -> Command:
        keys = [key for buffer, _ in entries for key in buffer.keys]
        packed = _pack([_packed(redis, buffer, entry, keys) for buffer, entry in entries])
        return ("EVAL", APPEND, len(keys), *keys, live_seconds, ended_seconds, packed)

    if redis.clustered:
        replies = await redis.call_all([command([item]) for item in chunk])
        return [(index, last_seq) for index, reply in enumerate(replies) for _, last_seq in reply]
    return [(number - 1, last_seq) for number, last_seq in await redis.call(*command(chunk))]


def _packed(redis: RedisClient, buffer: WriteBuffer, entry: Entry, keys: list[str]) -> Packed:
    """Return an entry for the script. Keys of sums and queues that it adds to go behind `keys`, known by their number.

    On a cluster it adds to none: they have another slot.
    """
    head = (buffer.epoch, entry.last, entry.terminal, entry.payload.decode())
    settlement, notice = (buffer.settlement, buffer.notice) if entry.terminal and not redis.clustered else (None, None)
    sums = queues = 0
    if settlement is not None:
        sums = len(keys) + 1
        keys += settlement.keys
    if notice is not None:
        queues = len(keys) + 1
        keys += notice_keys(redis, notice)
    settling = False if settlement is None else settlement.packed
    return (*head, settling, sums, False if notice is None else packed(notice), queues)

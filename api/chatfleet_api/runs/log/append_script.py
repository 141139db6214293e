"""The one command by which a pod appends to the logs of its runs: a script that Redis runs as one step.

It checks the fencing token of each entry: what a producer appends after another pod has taken its run over is refused.
The entry that ends a run also counts what the run has used (`usage/ledger_script.py`): both in one step, or neither.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.runs.log.write_buffer import Entry, WriteBuffer
from chatfleet_api.usage.ledger_script import SETTLING
from chatfleet_api.usage.settlement import Packed

ENTRY_FIELD: Final = b"e"
"""Name of the one field of an entry: a `Batch` in JSON, on one line."""
ENTRIES_PER_STREAM: Final = 65536
"""Bound on what one run can take in Redis; 16 minutes at one entry per flush. Older entries go first."""

APPEND: Final = (
    SETTLING
    + """
local live, ended, entries = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])
local fenced = {}
for i = 1, #entries do
  local key, record = KEYS[2 * i - 1], KEYS[2 * i]
  local epoch, last, final, entry, settlement, sums = unpack(entries[i])
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
        if sums > 0 and not redis.call('HGET', record, 'ended') then settle(sums, settlement) end
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
)
"""Append one entry per pair of keys, a run's events and its record (`fleet/redis.py` describes it).

Returns the number of each entry that was fenced off, and the last event before its successor. Other errors end the
write.
"""

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
        packed = _pack([_packed(buffer, entry, keys, counts=not redis.clustered) for buffer, entry in entries])
        return ("EVAL", APPEND, len(keys), *keys, live_seconds, ended_seconds, packed)

    if redis.clustered:
        replies = await redis.call_all([command([item]) for item in chunk])
        return [(index, last_seq) for index, reply in enumerate(replies) for _, last_seq in reply]
    return [(number - 1, last_seq) for number, last_seq in await redis.call(*command(chunk))]


def _packed(
    buffer: WriteBuffer, entry: Entry, keys: list[str], *, counts: bool
) -> tuple[str | int, int, bool, str, Packed | bool, int]:
    """Return an entry for the script. Keys of the sums that it adds to go behind `keys`, and are named by their number.

    On a cluster it adds to none: they have another slot.
    """
    head = (buffer.epoch, entry.last, entry.terminal, entry.payload.decode())
    settlement = buffer.settlement if entry.terminal and counts else None
    if settlement is None:
        return (*head, False, 0)
    first = len(keys) + 1
    keys += settlement.keys
    return (*head, settlement.packed, first)

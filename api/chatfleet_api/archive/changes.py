"""What of a conversation is to be archived, read from Redis; and what Redis learns once it is.

The hash of a conversation has `archived`, the number of entries of its list that are: each is read once; and
`unarchived` while it is not taken, which keeps it from a clean-up by age. All scripts work on the keys of one
conversation.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.archive.marks import DELETED, FEEDBACK, REWRITTEN, Marked
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.sessions.attached import sizes_of
from chatfleet_api.sessions.attachments import RedisAttachments
from chatfleet_api.sessions.feedback import Feedback
from chatfleet_api.sessions.keys import conversation_keys
from chatfleet_api.sessions.pages import read_record
from chatfleet_api.sessions.redis_feedback import read_feedback
from chatfleet_api.sessions.scripts import FEEDBACK_KEY_WIDTH
from chatfleet_api.sessions.store import Conversation, StoredMessage

MAX_ENTRIES: Final = 500
"""Of one conversation in one reply."""

MAX_TEXT_BYTES: Final = 4 << 20
"""Of the entries in one reply, or in those to one batch, if none alone has more: it arrives before Redis counts as
unreachable."""

MAX_ATTACHED_BYTES: Final = 64 << 20
"""Of the data of messages in one batch, unless its first conversation alone has more."""

READ: Final = """
local record, version, updated, archived, keys =
  unpack(redis.call('HMGET', KEYS[1], 'record', 'version', 'updated', 'archived', 'feedback'))
if not record then return false end
local from = tonumber(ARGV[1] ~= '' and ARGV[1] or archived or 0)
local most, room, entries, full, part = tonumber(ARGV[3]), tonumber(ARGV[4]), {}, false
repeat
  part = redis.call('LRANGE', KEYS[2], from + #entries, from + #entries + STEP - 1)
  for _, entry in ipairs(part) do
    full = #entries == most or (#entries > 0 and #entry > room)
    if full then break end
    entries[#entries + 1] = entry
    room = room - #entry
  end
until full or #part < STEP
local feedback, wanted = {}, ARGV[2] == '1' or from == 0
for first = 1, wanted and #(keys or '') or 0, WIDTH do
  feedback[#feedback + 1] = redis.call('HGET', KEYS[1], 'feedback:' .. string.sub(keys, first, first + WIDTH - 1))
end
return {record, version, updated, from, wanted and 1 or 0, entries, feedback, full and 1 or 0}
""".replace("WIDTH", str(FEEDBACK_KEY_WIDTH)).replace("STEP", "10")
"""At least one entry, if there is one; the last part is whether there are further ones."""
DONE: Final = """
local updated, archived, ttl = unpack(ARGV)
if not redis.call('HGET', KEYS[1], 'record') then return end
redis.call('HSET', KEYS[1], 'archived', archived)
if ttl == '' then return end
redis.call('HDEL', KEYS[1], 'unarchived')
if redis.call('HGET', KEYS[1], 'updated') == updated then
  redis.call('EXPIRE', KEYS[1], ttl)
  redis.call('EXPIRE', KEYS[2], ttl)
  return redis.call('HGET', KEYS[1], 'attachments')
end
"""
"""Note what is archived; with a `ttl`, that is all of it, and it need not be kept for longer than what is returned."""
NOT_DONE: Final = """
if not redis.call('HGET', KEYS[1], 'record') then return end
redis.call('HSET', KEYS[1], 'unarchived', 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return redis.call('HGET', KEYS[1], 'attachments')
"""

_message: Final = msgspec.json.Decoder(StoredMessage)


class Changes(NamedTuple):
    """What is to be archived of one conversation."""

    marked: Marked
    deleted: bool
    """It was deleted; what else is here came after that."""
    conversation: Conversation | None = None
    """None: it is not there, or is not archived."""
    messages: Sequence[StoredMessage] = ()
    """In order of their first entry, each in the state of its last one."""
    feedback: Sequence[Feedback] | None = None
    """All that Redis has; None: it did not change."""
    archived: int = 0
    """Entries of the list that are archived with this."""
    more: bool = False
    """Whether it has further ones."""


async def read_changes(redis: RedisClient, due: Sequence[Marked]) -> Sequence[Changes]:
    """Return what is to be archived of each conversation, or of the first ones, whose data fits one batch.

    Raises `ChatError(STORAGE_UNAVAILABLE)`, also for what does not come in time, which fewer of them may.
    """
    room = MAX_TEXT_BYTES // max(1, len(due))
    replies = await redis.call_all([_read(redis, each, 0 if _is_whole(each) else "", room) for each in due])
    attachments, attached, found = RedisAttachments(redis), 0, list[Changes]()
    for each, reply in zip(due, replies, strict=True):
        if reply is not None and _is_whole(each):
            await _read_rest(redis, each, reply)
        changes = _changes(each, reply)
        attached += sum(sizes_of(changes.messages).values())
        if found and attached > MAX_ATTACHED_BYTES:
            break
        found.append(changes._replace(messages=await attachments.whole(each.tenant, changes.messages)))
    return found


async def note_archived(redis: RedisClient, done: Sequence[Changes], ttl_seconds: int) -> None:
    """Note in Redis what is archived; all of what is, is kept for `ttl_seconds` from now."""
    found = [(each, each.marked.tenant, each.conversation) for each in done if each.conversation is not None]
    if not found:
        return
    commands: list[Command] = []
    for each, tenant, known in found:
        ttl = "" if each.more else ttl_seconds
        commands.append(
            ("EVAL", DONE, 2, *conversation_keys(redis, tenant, known.id), known.updated_at, each.archived, ttl)
        )
    attachments = RedisAttachments(redis)
    for (_, tenant, known), attached in zip(found, await redis.call_all(commands), strict=True):
        await attachments.renew(tenant, known.id, attached, seconds=ttl_seconds)


async def note_unarchived(redis: RedisClient, failed: Sequence[Marked], seconds: int) -> None:
    """Note in Redis what is not archived, although that was tried: it is kept for `seconds` from now."""
    for each in failed:
        keys = conversation_keys(redis, each.tenant, each.conversation)
        attached = await redis.call("EVAL", NOT_DONE, 2, *keys, seconds)
        await RedisAttachments(redis).renew(each.tenant, each.conversation, attached, seconds=seconds)


def _read(redis: RedisClient, marked: Marked, start: int | str, room: int) -> Command:
    """Return the command for entries from `start` on, empty: those that are not archived, of `room` bytes."""
    feedback = _is_whole(marked) or marked.about(FEEDBACK)
    keys = conversation_keys(redis, marked.tenant, marked.conversation)
    return ("EVAL", READ, 2, *keys, start, int(feedback), MAX_ENTRIES, room)


async def _read_rest(redis: RedisClient, marked: Marked, reply: Any) -> None:  # noqa: ANN401  # of `READ`
    """Add all further entries to a reply. What changes meanwhile has a mark, and is read again."""
    entries = reply[5]
    while reply[7]:
        (more,) = await redis.call_all([_read(redis, marked, len(entries), MAX_TEXT_BYTES)])
        entries += more[5] if more else ()
        reply[7] = more[7] if more else 0


def _changes(marked: Marked, reply: Any) -> Changes:  # noqa: ANN401  # of `READ`
    deleted = marked.about(DELETED)
    found = None if reply is None else read_record(reply[:3])
    if found is None or not found.listed:
        return Changes(marked, deleted)
    _, _, _, start, wanted, entries, feedback, more = reply
    states: dict[str, StoredMessage] = {}
    for entry in map(_message.decode, entries):
        states[entry.id] = entry
    return Changes(
        marked,
        deleted,
        conversation=found,
        messages=tuple(states.values()),
        feedback=tuple(map(read_feedback, feedback)) if wanted else None,
        archived=start + len(entries),
        more=bool(more),
    )


def _is_whole(marked: Marked) -> bool:
    """Return whether all of it is read again."""
    return marked.about(DELETED) or marked.about(REWRITTEN)

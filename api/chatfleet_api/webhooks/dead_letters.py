"""What administrators see of the queues of webhooks, and what they do with dead letters: replay, delete."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.webhooks.event import USERS, QueuedEvent
from chatfleet_api.webhooks.queue import KEPT_SECONDS, MAX_QUEUED, webhook_keys
from chatfleet_contract.runtime import RuntimeConfig

BATCH: Final = 100
"""Dead letters that one step replays or deletes."""

REPLAY: Final = """
local replayed = 0
local free = MAX_QUEUED - redis.call('ZCARD', KEYS[1])
for i = 1, #ARGV, 3 do
  local member, id, entry = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if replayed < free and redis.call('ZREM', KEYS[2], member) == 1 then
    redis.call('HSET', KEYS[3], id, entry)
    redis.call('ZADD', KEYS[1], redis.call('HINCRBY', KEYS[3], '#', 1), member)
    replayed = replayed + 1
  end
end
redis.call('EXPIRE', KEYS[1], KEPT_SECONDS)
redis.call('EXPIRE', KEYS[3], KEPT_SECONDS)
return replayed
""".replace("MAX_QUEUED", str(MAX_QUEUED)).replace("KEPT_SECONDS", str(KEPT_SECONDS))
DELETE: Final = """
local deleted = 0
for i = 1, #ARGV, 2 do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('HDEL', KEYS[2], ARGV[i + 1])
    deleted = deleted + 1
  end
end
return deleted
"""
"""Both change only what is a dead letter still, so that neither harms an event that another one has replayed."""

_encode: Final = msgspec.json.Encoder().encode
_event: Final = msgspec.json.Decoder(QueuedEvent)


def queue_names(config: RuntimeConfig) -> Sequence[str]:
    """Return the names of the webhooks, and of the queue of those of users."""
    names = [webhook.name for webhook in config.webhooks]
    return [*names, USERS] if config.conversations.user_webhooks else names


class QueueState(msgspec.Struct, frozen=True):
    """The queue of a webhook."""

    name: str
    queued: int
    oldest: str | None
    """When the first event of the queue has happened."""
    dead_letters: int
    dropped: int
    """Events that found the queue full."""


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that its receiver has not accepted for 24 hours; without content."""

    id: str
    type: str
    at: str
    """When it has happened."""
    given_up: str
    tenant: str | None
    conversation_id: str | None
    run: str | None


class _Letter(NamedTuple):
    member: str
    id: str
    given_up: float
    body: str


class DeadLetters:
    """The queues of the webhooks that the configuration has."""

    def __init__(self, redis: RedisClient, webhooks: Live[Sequence[str]], now: Callable[[], datetime]) -> None:
        """`now` returns the time of day, with zone UTC."""
        self._redis, self._webhooks, self._now = redis, webhooks, now

    def knows(self, webhook: str) -> bool:
        """Whether there is such a webhook."""
        return webhook in self._webhooks()

    async def states(self) -> list[QueueState]:
        """Return the state of each queue."""
        return [await self._state(name) for name in self._webhooks()]

    async def letters(self, webhook: str, *, limit: int) -> list[DeadLetter]:
        """Return dead letters, the newest first."""
        return [_shown(letter) for letter in await self._read(webhook, "0", str(limit - 1), "REV")]

    async def replay(self, webhook: str, letter: str | None = None) -> int:
        """Queue one, or all, as if they happened now: for 24 hours more; returns how many. A full queue takes none."""
        since = self._now().isoformat(timespec="milliseconds")

        def arguments(each: _Letter) -> tuple[str, ...]:
            return each.member, each.id, _encode(QueuedEvent(since, each.body)).decode()

        keys = webhook_keys(self._redis, webhook)
        return await self._change(REPLAY, keys, await self._chosen(webhook, letter), arguments)

    async def delete(self, webhook: str, letter: str | None = None) -> int:
        """Delete one, or all; returns how many."""
        _, dead, events = webhook_keys(self._redis, webhook)
        chosen = await self._chosen(webhook, letter)
        return await self._change(DELETE, (dead, events), chosen, lambda each: (each.member, each.id))

    async def _state(self, name: str) -> QueueState:
        queue, dead, events = webhook_keys(self._redis, name)
        first, size, given_up, dropped = await self._redis.call_all(
            [("ZRANGE", queue, 0, 0), ("ZCARD", queue), ("ZCARD", dead), ("HGET", events, "dropped")]
        )
        found = await self._redis.call("HGET", events, first[0].decode().split(" ", 1)[1]) if first else None
        oldest = None if found is None else _body(_event.decode(found).body)["timestamp"]
        return QueueState(name, size, oldest, given_up, int(dropped or 0))

    async def _chosen(self, webhook: str, letter: str | None) -> list[_Letter]:
        return [each for each in await self._read(webhook, "0", "-1") if letter in {None, each.id}]

    async def _read(self, webhook: str, *wanted: str) -> list[_Letter]:
        """Return dead letters by the time at which they were given up, as `wanted` of ZRANGE."""
        _, dead, events = webhook_keys(self._redis, webhook)
        found = await self._redis.call("ZRANGE", dead, *wanted, "WITHSCORES")
        members = [(each.decode(), float(score)) for each, score in zip(found[::2], found[1::2], strict=True)]
        letters: list[_Letter] = []
        for start in range(0, len(members), BATCH):
            part = [(member, member.split(" ", 1)[1], score) for member, score in members[start : start + BATCH]]
            entries = await self._redis.call("HMGET", events, *(ident for _, ident, _ in part))
            letters += [
                _Letter(*letter, _event.decode(entry).body)
                for letter, entry in zip(part, entries, strict=True)
                if entry is not None
            ]
        return letters

    async def _change(
        self,
        script: str,
        keys: Sequence[str],
        letters: Sequence[_Letter],
        arguments: Callable[[_Letter], tuple[str, ...]],
    ) -> int:
        changed = 0
        for start in range(0, len(letters), BATCH):
            values = [value for each in letters[start : start + BATCH] for value in arguments(each)]
            changed += await self._redis.call("EVAL", script, len(keys), *keys, *values)
        return changed


def _shown(letter: _Letter) -> DeadLetter:
    body = _body(letter.body)
    data = body["data"]
    given_up = datetime.fromtimestamp(letter.given_up / 1000, UTC).isoformat(timespec="milliseconds")
    kept = (data["tenant"], data.get("conversation_id"), data.get("run"))
    return DeadLetter(letter.id, body["type"], body["timestamp"], given_up, *kept)


def _body(text: str) -> Any:  # noqa: ANN401  # JSON that we have made
    return msgspec.json.decode(text)

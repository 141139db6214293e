"""Which pod owns which run: begun, cancelled, handed over, taken over from the dead, fenced off."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.fleet.failure_detector import UNOWNED
from chatfleet_api.runs.fleet.interface import Claim, Orphan, RunRecord
from chatfleet_api.runs.fleet.membership import deregister
from chatfleet_api.runs.keys import cancels_key, events_key, from_member, owned_key, record_key, to_member
from chatfleet_contract.spec import Streaming

MAX_ORPHANS: Final = 100
"""Runs that a pod takes over in one heartbeat: it goes on to send heartbeats, and to produce its own runs."""

_BEGIN: Final = """
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'owner', ARGV[2], 'epoch', 0)
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
_CLAIM: Final = """
local dead, me = unpack(ARGV)
local owner, previous_owner, epoch, ended, cancelled, record =
  unpack(redis.call('HMGET', KEYS[1], 'owner', 'previous_owner', 'epoch', 'ended', 'cancelled', 'record'))
if ended then return false end
if owner == dead or owner == UNOWNED then
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  local last_seq = last and string.match(last[1], '^%d+') or 0
  epoch = epoch + 1 -- the next fencing token: what the owner before appends is refused from here on
  redis.call('HSET', KEYS[1], 'owner', me, 'previous_owner', dead, 'epoch', epoch, 'last_seq:' .. epoch, last_seq)
elseif owner ~= me or previous_owner ~= dead then
  return false
end
return {tonumber(epoch), tonumber(redis.call('HGET', KEYS[1], 'last_seq:' .. epoch)), cancelled and 1 or 0, record}
""".replace("UNOWNED", f"'{UNOWNED}'")
"""One claimant wins, also when its claim comes twice."""
_HAND_OVER: Final = """
local owner, ended = unpack(redis.call('HMGET', KEYS[1], 'owner', 'ended'))
if owner == ARGV[1] and not ended then redis.call('HSET', KEYS[1], 'owner', UNOWNED) end
""".replace("UNOWNED", f"'{UNOWNED}'")
_CANCEL: Final = """
local owner, ended = unpack(redis.call('HMGET', KEYS[1], 'owner', 'ended'))
if not owner or ended then return false end
redis.call('HSET', KEYS[1], 'cancelled', 1)
return owner
"""

_encode: Final = msgspec.json.Encoder().encode
_record: Final = msgspec.json.Decoder(RunRecord)


class Ownership:
    """The runs that one pod owns, and how it comes to own more."""

    def __init__(self, redis: RedisClient, pod: str, streaming: Live[Streaming], *, rand: Callable[[], float]) -> None:
        self._redis = redis
        self._pod = pod
        self._streaming = streaming
        self._rand = rand
        self._owned: dict[RunKey, int] = {}
        """Each run that Redis may think ours, with its epoch."""
        self._handing_over: set[RunKey] = set()
        self.before_removal: Callable[[str], Awaitable[None]] | None = None
        """What is done for a dead pod before it is removed from the fleet; it may be done again."""

    @asynccontextmanager
    async def begin(self, record: RunRecord) -> AsyncGenerator[None, None]:
        """Enter the run under this pod, for the block to start it."""
        run = (record.tenant, record.start.run)
        key = record_key(self._redis, *run)
        begin = ("EVAL", _BEGIN, 1, key, _encode(record), self._pod, self._lifetime_seconds)
        await self._redis.call_all([("SADD", owned_key(self._redis, self._pod), to_member(run)), begin])
        try:
            yield
        finally:
            self._owned[run] = 0  # also when it was not started: the next heartbeat finds that it is not produced

    async def cancel(self, tenant: str, run: str) -> bool:
        """Mark the run, and notify its pod, which checks at every heartbeat."""
        owner = await self._redis.call("EVAL", _CANCEL, 1, record_key(self._redis, tenant, run))
        if owner is None:
            return False
        key = cancels_key(self._redis, owner.decode())
        await self._redis.call_all([("SADD", key, to_member((tenant, run))), ("EXPIRE", key, self._lifetime_seconds)])
        return True

    def mark_for_handoff(self, runs: Sequence[RunKey]) -> None:
        """Do not count these runs as finished when they are no longer produced here."""
        self._handing_over.update(runs)

    async def hand_over(self, runs: Sequence[RunKey]) -> None:
        """Release runs. Their owner changes first: should this pod die before the rest, they are found as its own."""
        members = [to_member(run) for run in runs]
        await self._redis.call_all([("EVAL", _HAND_OVER, 1, record_key(self._redis, *run), self._pod) for run in runs])
        await self._redis.call_all(
            [
                ("SADD", owned_key(self._redis, UNOWNED), *members),
                ("SREM", owned_key(self._redis, self._pod), *members),
            ]
        )
        self.untrack(runs)
        self._handing_over.difference_update(runs)

    def finished(self, is_producing: Callable[[str, str], bool]) -> Sequence[RunKey]:
        """Return the runs of ours that are over."""
        return [run for run in self._owned if run not in self._handing_over and not is_producing(*run)]

    def untrack(self, runs: Sequence[RunKey]) -> None:
        """Own these runs no longer."""
        for run in runs:
            self._owned.pop(run, None)

    def track(self, runs: Sequence[RunKey]) -> None:
        """Own these runs as far as Redis knows, so that they are released once they are not produced here."""
        for run in runs:
            self._owned.setdefault(run, 0)

    async def fenced(self) -> Sequence[tuple[str, str, int]]:
        """Return the runs of ours that other pods have taken over, and after which event: to them we were dead."""
        owned = [*self._owned.items()]
        replies = await self._redis.call_all(
            [("HGET", record_key(self._redis, *run), f"last_seq:{epoch + 1}") for run, epoch in owned]
        )
        return [
            (*run, int(last_seq)) for (run, _), last_seq in zip(owned, replies, strict=True) if last_seq is not None
        ]

    async def orphans(self, dead: Mapping[str, float], *, successors: int) -> Sequence[Orphan]:
        """Return our share of the runs of dead pods, at random; deregister a dead pod that has none left.

        `successors` is the number of other pods that take a share.
        """
        keys = [(pod, owned_key(self._redis, pod)) for pod in dead]
        replies = await self._redis.call_all(
            [command for _, key in keys for command in (("SCARD", key), ("SRANDMEMBER", key, MAX_ORPHANS))]
        )
        orphans: list[Orphan] = []
        for (pod, _), count, members in zip(keys, replies[::2], replies[1::2], strict=True):
            if not count:
                if self.before_removal is not None:
                    await self.before_removal(pod)
                await deregister(self._redis, pod)
            share = members[: -(-count // (successors + 1))]
            orphans += [Orphan(pod, *from_member(member), dead[pod]) for member in share]
        return sorted(orphans, key=lambda _: self._rand())[:MAX_ORPHANS]

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        """Take over those of `orphans` that no other pod was quicker to take (None) and that have not ended (None)."""
        members = [to_member((orphan.tenant, orphan.run)) for orphan in orphans]
        await self._redis.call("SADD", owned_key(self._redis, self._pod), *members)
        replies = await self._redis.call_all(
            [("EVAL", _CLAIM, 2, *_run_keys(self._redis, orphan), orphan.pod, self._pod) for orphan in orphans]
        )
        await self._redis.call_all(
            [
                ("SREM", owned_key(self._redis, orphan.pod), member)
                for orphan, member in zip(orphans, members, strict=True)
            ]
        )
        claims = [
            reply and Claim(_record.decode(reply[3]), Fence(reply[0], reply[1]), bool(reply[2]), orphan.seconds)
            for orphan, reply in zip(orphans, replies, strict=True)
        ]
        for orphan, claim in zip(orphans, claims, strict=True):
            self._owned[orphan.tenant, orphan.run] = claim.fence.epoch if claim else 0
        return claims

    @property
    def _lifetime_seconds(self) -> int:
        """Longest life of a run that begins now, and of its log."""
        streaming = self._streaming()
        return streaming.max_stream_seconds + streaming.log_ttl_seconds


def _run_keys(redis: RedisClient, orphan: Orphan) -> tuple[str, str]:
    return record_key(redis, orphan.tenant, orphan.run), events_key(redis, orphan.tenant, orphan.run)

"""The fleet in Redis: which pods live, which runs each of them produces, and who takes over from the dead.

- `pods`: a sorted set of the pods, each with the server's time (ms) of its last sign of life; negative while it ends,
  and takes nothing over.
- `produces:<pod>`, `cancels:<pod>`: sets of runs, what a pod produces and what it is asked to cancel.
- the record of a run, a hash in the slot of its log: `record`, `owner`, `before` (the owner before), `epoch`, for each
  epoch that was begun by a takeover `after:<epoch>` (the last event that the log had by then), and, once true,
  `cancelled` and `ended`. A run that its pod has handed over belongs to the owner `UNOWNED`, and is in its set.

A pod counts as dead when its sign of life has not changed for `LEASE_SECONDS` of the observer's own time, in which the
observer itself has reached Redis without a failure: so an outage of Redis kills nobody, and clocks need not agree.
"""

import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.failure_detector import LEASE_SECONDS, UNOWNED, FailureDetector
from chatfleet_api.runs.log.interface import Claim, Fence, HeartbeatResult, Orphan, RunRecord
from chatfleet_api.runs.log.redis import RECORD
from chatfleet_contract.report import FleetDetails

MOST_ORPHANS: Final = 100
"""Runs that a pod takes over in one heartbeat: it goes on to give signs of life, and to produce its own."""

_HEARTBEAT: Final = """
local time = redis.call('TIME')
local now = math.floor(time[1] * 1000 + time[2] / 1000)
redis.call('ZADD', KEYS[1], ARGV[2] * now, ARGV[1])
for i = 3, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[i])
  redis.call('SREM', KEYS[3], ARGV[i])
end
local signs = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
return {signs, redis.call('SMEMBERS', KEYS[3]), redis.call('EXISTS', KEYS[4]), now}
"""
_LEAVE: Final = """
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
"""
_BEGIN: Final = """
redis.call('HSET', KEYS[1], 'record', ARGV[1], 'owner', ARGV[2], 'epoch', 0)
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
_CLAIM: Final = """
local dead, me = unpack(ARGV)
local owner, before, epoch, ended, cancelled, record =
  unpack(redis.call('HMGET', KEYS[1], 'owner', 'before', 'epoch', 'ended', 'cancelled', 'record'))
if ended then return false end
if owner == dead or owner == UNOWNED then
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  local after = last and string.match(last[1], '^%d+') or 0
  epoch = epoch + 1
  redis.call('HSET', KEYS[1], 'owner', me, 'before', dead, 'epoch', epoch, 'after:' .. epoch, after)
elseif owner ~= me or before ~= dead then
  return false
end
return {tonumber(epoch), tonumber(redis.call('HGET', KEYS[1], 'after:' .. epoch)), cancelled and 1 or 0, record}
""".replace("UNOWNED", f"'{UNOWNED}'")
"""One claimer wins, also when it asks twice; what the dead pod may still append is refused from the same moment on."""
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


class RedisFleet:
    """A `Fleet` of all pods with the same Redis and ChatDeployment."""

    def __init__(self, redis_client: RedisClient, pod: str, *, seconds: int, clock: Callable[[], float]) -> None:
        """Be `pod`, a name that no process had before; `seconds` is the longest that a run and its log may live.

        It may be replaced while the pod runs, for runs that begin from then on.
        """
        self._redis = redis_client
        self._pod = pod
        self.seconds = seconds
        self._clock = clock
        self._beaten = clock()
        self._signs = FailureDetector(clock)
        self._mine: dict[tuple[str, str], int] = {}
        self._given_up: set[tuple[str, str]] = set()
        self._heirs = 0
        """Other pods that live and take over."""
        self._living = 1
        """Pods that live, this one included."""

    @asynccontextmanager
    async def begin(self, record: RunRecord) -> AsyncGenerator[None, None]:
        """Enter the run under this pod, for the block to start it."""
        run = (record.tenant, record.start.run)
        entry = (
            "EVAL",
            _BEGIN,
            1,
            self._redis.key(run[0], RECORD, run[1]),
            _encode(record),
            self._pod,
            self.seconds,
        )
        await self._redis.call_all([("SADD", self._produces(self._pod), _member(run)), entry])
        try:
            yield
        finally:
            self._mine[run] = 0  # also when it was not started: the next heartbeat finds that nobody produces it

    async def cancel(self, tenant: str, run: str) -> bool:
        """Mark the run, and tell its pod, which looks at every heartbeat."""
        owner = await self._redis.call("EVAL", _CANCEL, 1, self._run_keys(tenant, run)[0])
        if owner is None:
            return False
        key = self._cancels(owner.decode())
        await self._redis.call_all([("SADD", key, _member((tenant, run))), ("EXPIRE", key, self.seconds)])
        return True

    def details(self) -> FleetDetails:
        """Return how the fleet looks from here; may be called by another thread."""
        ago = self._clock() - self._beaten
        return FleetDetails(member=self._pod, pods=self._living, last_beat_seconds_ago=ago)

    def has_successors(self) -> bool:
        """Tell whether another pod lives that takes runs over."""
        return self._heirs > 0

    def mark_for_handoff(self, runs: Sequence[tuple[str, str]]) -> None:
        """Strike these runs out no more when they are not produced here."""
        self._given_up.update(runs)

    async def hand_over(self, runs: Sequence[tuple[str, str]]) -> None:
        """Give runs up. Their owner changes first: should we die before the rest, they are found as ours were."""
        members = [_member(run) for run in runs]
        await self._redis.call_all(
            [("EVAL", _HAND_OVER, 1, self._run_keys(*run)[0], self._pod) for run in runs],
        )
        await self._redis.call_all(
            [("SADD", self._produces(UNOWNED), *members), ("SREM", self._produces(self._pod), *members)]
        )
        for run in runs:
            self._mine.pop(run, None)
        self._given_up.difference_update(runs)

    async def heartbeat(self, producing: Callable[[str, str], bool], *, ending: bool = False) -> HeartbeatResult:
        """Give a sign of life, and return what there is to do.

        `producing` tells whether a run of ours still is; a pod that is `ending` gets no orphans.
        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        over = [run for run in self._mine if run not in self._given_up and not producing(*run)]
        began = self._clock()
        try:
            signs, wanted, handed, at = await self._redis.call(
                "EVAL", _HEARTBEAT, 4, *self._beat_keys(), self._pod, -1 if ending else 1, *map(_member, over)
            )
        except ChatError:
            self._signs.forget()
            raise
        for run in over:
            self._mine.pop(run, None)
        dead = self._look(
            [(pod.decode(), int(sign)) for pod, sign in zip(signs[::2], signs[1::2], strict=True)], handed, at
        )
        cancels = [_run(member) for member in wanted]
        late = self._clock() - self._beaten > LEASE_SECONDS
        lost = await self._lost() if late else ()
        self._beaten = began  # not later than the sign itself, for that is what the others count from
        for run in cancels:
            self._mine.setdefault(run, 0)  # so that it is struck out once it is not produced here
        return HeartbeatResult(
            cancels, lost, await self._orphans(dead) if dead and not ending else (), self._signs.due()
        )

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        """Take over those of `orphans` that no other pod was quicker to take (None) and that have not ended (None).

        Raises `ChatError(STORAGE_UNAVAILABLE)`; what was taken over by then is found again when this pod dies.
        """
        members = [_member((orphan.tenant, orphan.run)) for orphan in orphans]
        await self._redis.call("SADD", self._produces(self._pod), *members)
        replies = await self._redis.call_all(
            [
                ("EVAL", _CLAIM, 2, *self._run_keys(orphan.tenant, orphan.run), orphan.pod, self._pod)
                for orphan in orphans
            ]
        )
        await self._redis.call_all(
            [("SREM", self._produces(orphan.pod), member) for orphan, member in zip(orphans, members, strict=True)]
        )
        claims = [
            reply and Claim(_record.decode(reply[3]), Fence(reply[0], reply[1]), bool(reply[2]), orphan.seconds)
            for orphan, reply in zip(orphans, replies, strict=True)
        ]
        for orphan, claim in zip(orphans, claims, strict=True):
            self._mine[orphan.tenant, orphan.run] = claim.fence.epoch if claim else 0
        return claims

    async def leave(self) -> None:
        """Be one pod less, unless runs are left that somebody has to end."""
        await self.heartbeat(lambda *_: False)
        await self._redis.call("EVAL", _LEAVE, 2, *self._keys(), self._pod)

    async def _lost(self) -> Sequence[tuple[str, str, int]]:
        """Return the runs that others took over while they thought us dead, and after which event."""
        mine = [*self._mine.items()]
        after = await self._redis.call_all(
            [("HGET", self._run_keys(*run)[0], f"after:{epoch + 1}") for run, epoch in mine]
        )
        return [(*run, int(last)) for (run, _), last in zip(mine, after, strict=True) if last is not None]

    def _look(self, pods: Sequence[tuple[str, int]], handed: int, at: int) -> Mapping[str, float]:
        """Take note of the signs of life; return those who have runs to be taken over."""
        dead = self._signs.dead([*pods, *([(UNOWNED, 0)] if handed else [])], at=at)
        self._living = sum(pod not in dead for pod, _ in pods)
        self._heirs = sum(sign > 0 and pod not in dead and pod != self._pod for pod, sign in pods)
        return dead

    async def _orphans(self, dead: Mapping[str, float]) -> Sequence[Orphan]:
        """Return our share of the runs of dead pods, at random; strike out a dead pod that has none left."""
        keys = [(pod, self._produces(pod)) for pod in dead]
        replies = await self._redis.call_all(
            [command for _, key in keys for command in (("SCARD", key), ("SRANDMEMBER", key, MOST_ORPHANS))]
        )
        orphans: list[Orphan] = []
        for (pod, key), count, members in zip(keys, replies[::2], replies[1::2], strict=True):
            if not count:
                await self._redis.call("EVAL", _LEAVE, 2, self._redis.shared_key("pods"), key, pod)
            share = members[: -(-count // (self._heirs + 1))]
            orphans += [Orphan(pod, *_run(member), dead[pod]) for member in share]
        return random.sample(orphans, min(len(orphans), MOST_ORPHANS))

    def _beat_keys(self) -> tuple[str, str, str, str]:
        return (*self._keys(), self._cancels(self._pod), self._produces(UNOWNED))

    def _keys(self) -> tuple[str, str]:
        return self._redis.shared_key("pods"), self._produces(self._pod)

    def _run_keys(self, tenant: str, run: str) -> tuple[str, str]:
        return self._redis.key(tenant, RECORD, run), self._redis.key(tenant, "events", run)

    def _produces(self, pod: str) -> str:
        return self._redis.shared_key(f"produces:{pod}")

    def _cancels(self, pod: str) -> str:
        return self._redis.shared_key(f"cancels:{pod}")


@asynccontextmanager
async def open_fleet(
    redis_client: RedisClient, pod: str, *, seconds: int, clock: Callable[[], float]
) -> AsyncGenerator[RedisFleet, None]:
    """Yield the fleet to `pod`, which leaves it at the end of the block; it does not heartbeat by itself."""
    fleet = RedisFleet(redis_client, pod, seconds=seconds, clock=clock)
    try:
        yield fleet
    finally:
        with suppress(ChatError):  # the others find out by themselves
            await fleet.leave()


def _member(run: tuple[str, str]) -> str:
    tenant, run_id = run
    return f"{quote(tenant, safe='')}/{run_id}"


def _run(member: bytes) -> tuple[str, str]:
    tenant, _, run_id = member.decode().partition("/")
    return unquote(tenant), run_id

"""The fleet in Redis: which pods live, which runs each of them owns, and who takes over from the dead.

- `pods`: a sorted set of the pods, each with the server's time (ms) of its last heartbeat; negative while it drains,
  and takes nothing over.
- `owned:<pod>`, `cancels:<pod>`: sets of runs, what a pod owns and what it is to cancel.
- the record of a run, a hash in the slot of its log: `record`, `owner`, `previous_owner`, `epoch`
  (the fencing token), for each epoch that was begun by a takeover `last_seq:<epoch>` (the last event that the log had
  by then), and, once true, `cancelled` and `ended`. A run that its pod has handed over belongs to `UNOWNED`, and is in
  its set.

A pod is dead when its heartbeat has not changed for `LEASE_SECONDS` of the observer's own time, in which the observer
itself has reached Redis without a failure: so no pod is dead because of an outage of Redis, and clocks need not agree.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.interface import Claim, HeartbeatResult, Orphan, RunRecord
from chatfleet_api.runs.fleet.membership import Membership
from chatfleet_api.runs.fleet.ownership import Ownership
from chatfleet_contract.report import FleetDetails
from chatfleet_contract.spec import Streaming


class RedisFleet:
    """A `Fleet` of all pods with the same Redis and ChatDeployment."""

    def __init__(
        self,
        redis: RedisClient,
        pod: str,
        streaming: Live[Streaming],
        *,
        clock: Callable[[], float],
        rand: Callable[[], float],
    ) -> None:
        """Join the fleet as `pod`, a name that no other process, before or now, has; `rand` returns 0 to 1."""
        self._membership = Membership(redis, pod, clock=clock)
        self._ownership = Ownership(redis, pod, streaming, rand=rand)

    def before_removal(self, act: Callable[[str], Awaitable[None]]) -> None:
        """Call `act` with each dead pod before it is removed; what it raises leaves the pod for the next heartbeat."""
        self._ownership.before_removal = act

    def begin(self, record: RunRecord) -> AbstractAsyncContextManager[None]:
        return self._ownership.begin(record)

    async def cancel(self, tenant: str, run: str) -> bool:
        return await self._ownership.cancel(tenant, run)

    async def heartbeat(self, is_producing: Callable[[str, str], bool], *, draining: bool) -> HeartbeatResult:
        membership, ownership = self._membership, self._ownership
        finished = ownership.finished(is_producing)
        seen = await membership.heartbeat(finished, draining=draining)
        ownership.untrack(finished)
        fenced = await ownership.fenced() if seen.expired else ()
        membership.renew(seen.at)
        ownership.track(seen.cancelled)
        orphans: Sequence[Orphan] = ()
        if seen.dead and not draining:
            orphans = await ownership.orphans(seen.dead, successors=membership.successors)
        wanted = seen.tapped, seen.tasks_wanted
        return HeartbeatResult(seen.cancelled, fenced, orphans, membership.next_expiry(), *wanted)

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        return await self._ownership.claim(orphans)

    def has_successors(self) -> bool:
        return self._membership.successors > 0

    def mark_for_handoff(self, runs: Sequence[RunKey]) -> None:
        self._ownership.mark_for_handoff(runs)

    async def hand_over(self, runs: Sequence[RunKey]) -> None:
        await self._ownership.hand_over(runs)

    def details(self) -> FleetDetails:
        return self._membership.details()

    async def deregister(self) -> None:
        """Remove this pod from the fleet, unless it has runs that another pod must end."""
        await self.heartbeat(lambda *_: False, draining=False)
        await self._membership.deregister()


@asynccontextmanager
async def open_redis_fleet(
    redis: RedisClient,
    pod: str,
    streaming: Live[Streaming],
    *,
    clock: Callable[[], float],
    rand: Callable[[], float],
) -> AsyncGenerator[RedisFleet, None]:
    """Yield the fleet with `pod` in it, until the end of the block; `supervise` sends its heartbeats."""
    fleet = RedisFleet(redis, pod, streaming, clock=clock, rand=rand)
    try:
        yield fleet
    finally:
        with suppress(StorageUnavailableError):  # the others' failure detectors find out
            await fleet.deregister()

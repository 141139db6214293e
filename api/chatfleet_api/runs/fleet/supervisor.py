"""One pod's part in the fleet: its sign of life, the cancels that others ask for, and the runs of pods that died."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.runs.fleet.failure_detector import LEASE_SECONDS
from chatfleet_api.runs.log.interface import Claim, HeartbeatResult, Orphan
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run

HEARTBEAT_SECONDS: Final = 0.25
"""Between two beats. A cancel from another pod waits as long at most."""
GRAIN_SECONDS: Final = 0.005
"""Timers may fire a little early: so much later than it is due the death of a pod is looked for."""
AGAIN_SECONDS: Final = 0.05
"""The same while there are runs to be taken over."""
FULL_POD_GRACE_SECONDS: Final = 2.0
"""How much longer a run stays an orphan when the pods that see it are full: one with a free slot comes first."""


class Beating(Protocol):
    """The fleet as this needs it; `RedisFleet` tells what the verbs promise."""

    async def heartbeat(self, producing: Callable[[str, str], bool], *, ending: bool) -> HeartbeatResult:
        """Give a sign of life, and return what there is to do."""
        ...

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        """Take over what nobody else took."""
        ...


class Heir(Protocol):
    """Brings a run that another pod began to its end."""

    def __call__(self, claim: Claim, run: Run, *, has_slot: bool) -> Coroutine[Any, Any, None]:
        """Go on with it, or, without `has_slot`, end it with what there is."""
        ...


async def supervise(fleet: Beating, pool: RunPool, *, writing: Callable[[str, str], bool], go_on: Heir) -> None:
    """Take part, until cancelled; `writing` tells whether a run is yet to be logged, `go_on` produces a rest."""

    def producing(tenant: str, run: str) -> bool:
        return pool.find(tenant, run) is not None or writing(tenant, run)

    while True:
        pause = HEARTBEAT_SECONDS
        try:
            found = await fleet.heartbeat(producing, ending=pool.draining)
            pause = min(HEARTBEAT_SECONDS, found.due + GRAIN_SECONDS)
            for tenant, run_id in found.cancelled:
                if run := pool.find(tenant, run_id):
                    run.cancel()
            for tenant, run_id, after in found.lost:
                if run := pool.find(tenant, run_id):
                    run.fence_off(after)
            if mine := [orphan for orphan in found.orphans if not producing(orphan.tenant, orphan.run)]:
                pause = AGAIN_SECONDS if await _adopt(mine, fleet, pool, go_on) else pause
        except ChatError:  # Redis is away: the client has logged it, and the fleet forgives everybody
            pass
        await asyncio.sleep(pause)


async def _adopt(orphans: Sequence[Orphan], fleet: Beating, pool: RunPool, go_on: Heir) -> bool:
    """Take over as many as there are slots free, and to their end those that have waited for one long enough.

    Returns whether there were any of these.
    """
    with pool.inherit(len(orphans)) as (free, start):
        late = [orphan for orphan in orphans[free:] if orphan.seconds >= LEASE_SECONDS + FULL_POD_GRACE_SECONDS]
        taken = [*orphans[:free], *late]
        if not taken:
            return False
        for place, claim in enumerate(await fleet.claim(taken)):
            if claim is not None:
                produce = partial(go_on, claim, has_slot=place < free)
                start(claim.record.tenant, claim.record.start.run, produce, claim.fence)
    return True

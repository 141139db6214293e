"""The loop of one pod in its fleet: heartbeats, requested cancellations, fencing, and the runs of pods that died."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.runs.fleet.failure_detector import LEASE_SECONDS
from chatfleet_api.runs.fleet.interface import Claim, Fleet, HeartbeatResult, Orphan
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.run import Run

HEARTBEAT_SECONDS: Final = 0.25
"""Between two heartbeats. A cancellation from another pod waits as long at most."""
GRAIN_SECONDS: Final = 0.005
"""Timers may fire a little early: the next heartbeat comes so much later than the next lease runs out."""
TAKEOVER_SECONDS: Final = 0.05
"""Between two heartbeats while there are runs to be taken over."""
FULL_POD_GRACE_SECONDS: Final = 2.0
"""How much longer a run stays an orphan when the pods that see it are full: one with a free slot comes first."""


class TakeoverHandler(Protocol):
    """Brings a run that another pod began to its end."""

    def __call__(self, claim: Claim, run: Run, *, has_slot: bool) -> Coroutine[Any, Any, None]:
        """Go on with it, or, without a slot, end it with what there is."""
        ...


async def supervise(
    fleet: Fleet,
    pool: RunPool,
    handler: TakeoverHandler,
    on_heartbeat: Callable[[HeartbeatResult], None] = lambda _: None,
) -> None:
    """Take part in the fleet, until cancelled; `handler` produces the rest of runs that were taken over.

    `on_heartbeat` is called with what each heartbeat found.
    """
    while True:
        pause = HEARTBEAT_SECONDS
        try:
            found = await fleet.heartbeat(pool.is_producing, draining=pool.admission.draining)
            on_heartbeat(found)
            pause = min(HEARTBEAT_SECONDS, found.next_expiry + GRAIN_SECONDS)
            for tenant, run_id in found.cancelled:
                if run := pool.find(tenant, run_id):
                    run.cancel()
            for tenant, run_id, last_seq in found.fenced:
                if run := pool.find(tenant, run_id):
                    run.fence_off(last_seq)
            if orphans := [orphan for orphan in found.orphans if not pool.is_producing(orphan.tenant, orphan.run)]:
                pause = TAKEOVER_SECONDS if await _take_over(orphans, fleet, pool, handler) else pause
        except StorageUnavailableError:  # the client has logged it, and the failure detector begins anew
            pass
        await asyncio.sleep(pause)


async def _take_over(orphans: Sequence[Orphan], fleet: Fleet, pool: RunPool, handler: TakeoverHandler) -> bool:
    """Take over as many as there are free slots, and, to end them, those that have waited for one long enough.

    Returns whether there were any of these.
    """
    with pool.reserve(len(orphans)) as (free, start):
        late = [orphan for orphan in orphans[free:] if orphan.seconds >= LEASE_SECONDS + FULL_POD_GRACE_SECONDS]
        taken = [*orphans[:free], *late]
        if not taken:
            return False
        for index, claim in enumerate(await fleet.claim(taken)):
            if claim is not None:
                produce = partial(handler, claim, has_slot=index < free)
                start(claim.record.tenant, claim.record.start.run, produce, claim.fence)
    return True

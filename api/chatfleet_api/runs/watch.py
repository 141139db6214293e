"""One pod's part in the fleet: its sign of life, the cancels that others ask for, and the runs of pods that died."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Final, Protocol

from chatfleet_api.errors import ChatError
from chatfleet_api.runs.pool import RunPool, Start
from chatfleet_api.runs.port import Beat, Claim, Orphan
from chatfleet_api.runs.run import Run

BEAT_SECONDS: Final = 0.25
"""Between two beats. A cancel from another pod waits as long at most."""


class Beating(Protocol):
    """The fleet as this needs it; `RedisFleet` tells what the verbs promise."""

    pods: int

    async def beat(self, producing: Callable[[str, str], bool]) -> Beat:
        """Give a sign of life, and return what there is to do."""
        ...

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        """Take over what nobody else took."""
        ...


async def keep_watch(
    fleet: Beating,
    pool: RunPool,
    *,
    writing: Callable[[str, str], bool],
    go_on: Callable[[Claim, Run], Awaitable[None]],
) -> None:
    """Take part, until cancelled; `writing` tells whether a run is yet to be logged, `go_on` produces a rest."""

    def producing(tenant: str, run: str) -> bool:
        return pool.find(tenant, run) is not None or writing(tenant, run)

    while True:
        try:
            found = await fleet.beat(producing)
            for tenant, run_id in found.cancelled:
                if run := pool.find(tenant, run_id):
                    run.cancel()
            for tenant, run_id, after in found.lost:
                if run := pool.find(tenant, run_id):
                    run.depose(after)
            if mine := [orphan for orphan in found.orphans if not producing(orphan.tenant, orphan.run)]:
                await _adopt(_share(mine, fleet.pods), fleet, pool, go_on)
        except ChatError:  # Redis is away: the storage has logged it, and the fleet forgives everybody
            pass
        await asyncio.sleep(BEAT_SECONDS)


def _share(orphans: Sequence[Orphan], pods: int) -> Sequence[Orphan]:
    """Return as many of the orphans as each pod gets when all take alike, at random."""
    return random.sample(orphans, -(-len(orphans) // max(pods, 1)))


async def _adopt(
    orphans: Sequence[Orphan], fleet: Beating, pool: RunPool, go_on: Callable[[Claim, Run], Awaitable[None]]
) -> None:
    """Take over as many as there are slots free."""
    with ExitStack() as slots:
        starts: list[Start] = []
        with suppress(ChatError):  # full, or draining
            starts.extend(slots.enter_context(pool.admit()) for _ in orphans)
        if not starts:
            return
        claims = await fleet.claim(orphans[: len(starts)])
        for start, claim in zip(starts, claims, strict=True):
            if claim is not None:
                start(claim.record.tenant, claim.record.start.run, partial(go_on, claim), claim.tenure)

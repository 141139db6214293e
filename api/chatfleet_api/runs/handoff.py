"""Hand-off: the runs of a pod that ends go on at another pod at once, and their readers here follow them there."""

import asyncio
from collections.abc import Sequence

from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.run import Run


async def hand_over(runs: Sequence[Run], *, log: RunLog, fleet: Fleet) -> None:
    """Stop runs of the fleet, without an end, and release them once the log has all that they published.

    Raises `ChatError(STORAGE_UNAVAILABLE)`. If the first flush fails, every run goes on. If Redis fails later, other
    pods take the runs over once this pod's lease has run out.
    """
    await _flush(runs, log)
    keys = [(run.tenant, run.id) for run in runs]
    fleet.mark_for_handoff(keys)
    for run in runs:
        run.hand_over()
    await _flush(runs, log)
    await fleet.hand_over(keys)


async def _flush(runs: Sequence[Run], log: RunLog) -> None:
    await asyncio.gather(*(log.flush(run.tenant, run.id) for run in runs))

"""A pod gives a sign of life at every heartbeat, and checks again as soon as another's is overdue."""

import asyncio
from collections.abc import Callable

import pytest
from typing_extensions import override

from chatfleet_api.runs.fleet.interface import Claim, HeartbeatResult
from chatfleet_api.runs.fleet.single_pod import SinglePodFleet
from chatfleet_api.runs.log.tasks import cancel
from chatfleet_api.runs.run import Run
from chatfleet_api.runs.supervisor import GRAIN_SECONDS, HEARTBEAT_SECONDS, supervise
from harness.pods.runs import loop_clock, make_pool

pytestmark = pytest.mark.looptime


class Recorded(SinglePodFleet):
    """A fleet that only notes its heartbeats; a lease in it runs out after some seconds."""

    def __init__(self, next_expiry: float) -> None:
        self.next_expiry = next_expiry
        self.times: list[float] = []

    @override
    async def heartbeat(self, is_producing: Callable[[str, str], bool], *, draining: bool) -> HeartbeatResult:
        self.times.append(loop_clock())
        return HeartbeatResult((), (), (), self.next_expiry)


async def _nothing(claim: Claim, run: Run, *, has_slot: bool) -> None:
    raise AssertionError((claim, run, has_slot))


@pytest.mark.parametrize(("next_expiry", "pause"), [(1.75, HEARTBEAT_SECONDS), (0.1, 0.1 + GRAIN_SECONDS)])
async def test_the_next_heartbeat_is_sent_when_a_lease_runs_out_or_its_interval_is_over(
    next_expiry: float, pause: float
) -> None:
    fleet = Recorded(next_expiry)
    supervising = asyncio.create_task(supervise(fleet, make_pool(), _nothing))
    await asyncio.sleep(2.5 * pause)
    await cancel(supervising)
    assert fleet.times == pytest.approx([0.0, pause, 2 * pause])

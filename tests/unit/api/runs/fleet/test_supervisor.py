"""A pod gives a sign of life at every heartbeat, and checks again as soon as another's is overdue."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from chatfleet_api.runs.fleet.supervisor import GRAIN_SECONDS, HEARTBEAT_SECONDS, supervise
from chatfleet_api.runs.log.interface import Claim, HeartbeatResult, Orphan
from chatfleet_api.runs.log.tailing import cancelled
from chatfleet_api.runs.run import Run
from harness.pods.runs import loop_clock, make_pool

pytestmark = pytest.mark.looptime


class Looked:
    """A fleet that only notes when it was looked at; a pod of it is due after some seconds."""

    def __init__(self, due: float) -> None:
        self.due = due
        self.times: list[float] = []

    async def heartbeat(self, producing: Callable[[str, str], bool], *, ending: bool) -> HeartbeatResult:  # noqa: ARG002  # as it is called
        self.times.append(loop_clock())
        return HeartbeatResult((), (), (), self.due)

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        return [None for _ in orphans]


async def _nothing(claim: Claim, run: Run, *, has_slot: bool) -> None:
    raise AssertionError((claim, run, has_slot))


@pytest.mark.parametrize(("due", "pause"), [(1.75, HEARTBEAT_SECONDS), (0.1, 0.1 + GRAIN_SECONDS)])
async def test_the_next_look_is_when_a_pod_is_due_and_a_beat_later_at_most(due: float, pause: float) -> None:
    fleet = Looked(due)
    watch = asyncio.create_task(supervise(fleet, make_pool(), writing=lambda *_: False, go_on=_nothing))
    await asyncio.sleep(2.5 * pause)
    await cancelled(watch)
    assert fleet.times == pytest.approx([0.0, pause, 2 * pause])

"""`make chaos-scale`: streams that go on while pods come and go, and a control run in which they do not."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from chatfleet_lab.scale.disruptions import ClusterActions
from chatfleet_lab.scale.series import Cluster
from harness.clients.load import Load, StreamCounts

HIGH: Final = 4
LOW: Final = 2
WARM_SECONDS: Final = 5.0


class EnduranceResult(msgspec.Struct, frozen=True):
    """What one run showed."""

    drain_seconds: int
    """`streaming.drainSeconds`; 0: without the preStop hook, the control."""
    seconds: int
    streams: int
    at_once: int
    whole: int
    cut: int
    refused: int
    done: dict[str, int]
    """How often each thing was done to the pods."""
    why: dict[str, int]
    """What clients received for streams that were cut or refused."""


class Step(NamedTuple):
    """One thing that is done to the pods."""

    name: str
    do: Callable[[], Awaitable[None]]


def round_of(actions: ClusterActions) -> Sequence[Step]:
    """Return what is done in one round."""
    return (
        Step("scale-ups", lambda: actions.scale(HIGH)),
        Step("rollouts", actions.roll_out),
        Step("evictions", actions.evict),
        Step("scale-downs", lambda: actions.scale(LOW)),
    )


async def endure(load: Load, cluster: Cluster, *, rounds: int, at_once: int, drain_seconds: int) -> EnduranceResult:
    """Keep `at_once` streams open through `rounds` of all that befalls pods, and through a suspension at the end."""
    actions = ClusterActions(cluster)
    done: dict[str, int] = {}
    begun = monotonic()
    running = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(WARM_SECONDS)
        for number in range(1, rounds + 1):
            for step in round_of(actions):
                await step.do()
                done[step.name] = done.get(step.name, 0) + 1
            log(f"round {number} of {rounds}, {monotonic() - begun:.0f} s: {_summary(load.counts)}")
        load.stop()  # a suspended ChatDeployment takes nothing new, and ends what is open
        await actions.suspend(suspended=True)
        await running
        await actions.gone()
        done["suspensions"] = 1
    finally:
        running.cancel()
        await actions.suspend(suspended=False)
    counts = load.counts
    log(_summary(counts))
    return EnduranceResult(
        drain_seconds=drain_seconds,
        seconds=round(monotonic() - begun),
        streams=counts.begun,
        at_once=at_once,
        whole=counts.whole,
        cut=counts.cut,
        refused=counts.refused,
        done=done,
        why=dict(counts.why),
    )


def _summary(counts: StreamCounts) -> str:
    why = f" {dict(counts.why)}" if counts.why else ""
    return f"{counts.whole} streams whole, {counts.live} open, {counts.cut} cut, {counts.refused} refused{why}"


def log(message: str) -> None:
    sys.stderr.write(f"[chaos-scale] {message}\n")

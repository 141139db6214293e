"""`make chaos-scale`: streams that go on while pods come and go, and a control run in which they do not."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple

import msgspec

from chatfleet_lab.scale.hurt import Hand
from chatfleet_lab.scale.load import Load, Tally
from chatfleet_lab.scale.series import Cluster

HIGH: Final = 4
LOW: Final = 2
WARM_SECONDS: Final = 5.0


class Endured(msgspec.Struct, frozen=True):
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
    """What clients were told of streams that were cut or refused."""


class Step(NamedTuple):
    """One thing that is done to the pods."""

    name: str
    do: Callable[[], Awaitable[None]]


def round_of(hand: Hand) -> Sequence[Step]:
    """Return what is done in one round."""
    return (
        Step("scale-ups", lambda: hand.scale(HIGH)),
        Step("rollouts", hand.roll_out),
        Step("evictions", hand.evict),
        Step("scale-downs", lambda: hand.scale(LOW)),
    )


async def endure(load: Load, cluster: Cluster, *, rounds: int, at_once: int, drain_seconds: int) -> Endured:
    """Keep `at_once` streams open through `rounds` of all that befalls pods, and through a suspension at the end."""
    hand = Hand(cluster)
    done: dict[str, int] = {}
    begun = monotonic()
    running = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(WARM_SECONDS)
        for number in range(1, rounds + 1):
            for step in round_of(hand):
                await step.do()
                done[step.name] = done.get(step.name, 0) + 1
            _say(f"round {number} of {rounds}, {monotonic() - begun:.0f} s: {_told(load.tally)}")
        load.stop()  # a suspended ChatDeployment takes nothing new, and ends what is open
        await hand.suspend(suspended=True)
        await running
        await hand.gone()
        done["suspensions"] = 1
    finally:
        running.cancel()
        await hand.suspend(suspended=False)
    tally = load.tally
    _say(_told(tally))
    return Endured(
        drain_seconds=drain_seconds,
        seconds=round(monotonic() - begun),
        streams=tally.begun,
        at_once=at_once,
        whole=tally.whole,
        cut=tally.cut,
        refused=tally.refused,
        done=done,
        why=dict(tally.why),
    )


def _told(tally: Tally) -> str:
    why = f" {dict(tally.why)}" if tally.why else ""
    return f"{tally.whole} streams whole, {tally.live} open, {tally.cut} cut, {tally.refused} refused{why}"


def _say(words: str) -> None:
    sys.stderr.write(f"[chaos-scale] {words}\n")

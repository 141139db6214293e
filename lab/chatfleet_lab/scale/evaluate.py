"""Whether the number of pods followed the load as it should. Pure: samples in, an outcome out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from chatfleet_lab.scale.series import Sample, directions

BEFORE, AFTER, STEP_AT = 50, 600, 30
RIGHT: Final = range(8, 10)
"""Pods that are right for 600 streams at 70 a pod: 9, or 8, where each carries 75 and the tolerance says enough."""


NEVER: Final = 999.0
"""In seconds: what did not happen."""


class Outcome(msgspec.Struct, frozen=True):
    """What one scenario showed."""

    name: str
    what: str
    figures: dict[str, float]
    aims: dict[str, str]
    kept: bool
    """For a control: that it broke what it should break."""
    course: list[tuple[int, int, int, int]]
    """Seconds, streams, replicas wanted, pods ready: wherever the wish changed."""


class Simulation(msgspec.Struct, frozen=True):
    """What one command played."""

    when: str
    factor: int
    seed: int
    start_seconds: int
    stream_seconds: int
    outcomes: list[Outcome]


def stepped(samples: Sequence[Sample]) -> Outcome:
    """Judge the step: how soon pods came, and how many too many."""
    after = [each for each in samples if each.at >= STEP_AT]
    first = next((each.at - STEP_AT for each in after if each.ready > samples[0].ready), NEVER)
    right = next((each.at - STEP_AT for each in after if each.ready >= RIGHT.start), NEVER)
    over = max(0, max(each.desired for each in samples) - RIGHT[-1])
    figures: dict[str, float] = {
        "first new pod ready after s": round(first),
        "right number of pods ready after s": round(right),
        "pods too many": over,
        "pods at the end": samples[-1].ready,
        "all streams open after s": round(next((each.at - STEP_AT for each in after if not each.refused), NEVER)),
    }
    aims = dict(zip(figures, ("≤ 45", "≤ 120", "≤ 1", "8 or 9"), strict=False))
    kept = first <= 45 and right <= 120 and over <= 1 and samples[-1].ready in RIGHT
    return Outcome("step", f"{BEFORE} streams become {AFTER} at once", figures, aims, kept, course(samples))


def turned(samples: Sequence[Sample], *, control: bool) -> Outcome:
    """Judge noise by how often the number of pods changed its direction."""
    turns = directions(samples)
    figures: dict[str, float] = {
        "changes of direction": turns,
        "pods at most": max(each.desired for each in samples),
        "share of streams that waited %": _waited(samples),
    }
    minutes = round(samples[-1].at / 60)
    what = f"{minutes} minutes of noise and bursts"
    if control:
        what += ", control: without the quiet time before pods go"
        return Outcome("hasty", what, figures, {"changes of direction": "> 2"}, turns > 2, course(samples))
    return Outcome("noise", what, figures, {"changes of direction": "≤ 2"}, turns <= 2, course(samples))


def stayed(samples: Sequence[Sample], silence: tuple[float, float]) -> Outcome:
    """Judge silence: nothing goes by figures that are not there, and it goes once they are."""
    begin, end = silence
    during = [each.desired for each in samples if begin <= each.at < end]
    later = [each.desired for each in samples if each.at >= end]
    gone = sum(after < before for before, after in pairwise(during))
    figures: dict[str, float] = {
        "scale-downs without figures": gone,
        "pods before": during[0],
        "pods at the end": later[-1],
    }
    what = f"no pod exports its figures for {(end - begin) / 60:g} minutes, in which most streams end"
    kept = gone == 0 and later[-1] < during[-1]
    aims = {"scale-downs without figures": "0", "pods at the end": "fewer"}
    return Outcome("silence", what, figures, aims, kept, course(samples))


def _waited(samples: Sequence[Sample]) -> float:
    return round(
        100 * sum(max(0, each.wanted - each.streams) for each in samples) / sum(each.wanted for each in samples), 2
    )


def course(samples: Sequence[Sample]) -> list[tuple[int, int, int, int]]:
    """Return the samples at which the wish for pods changed."""
    changed = [after for before, after in pairwise(samples) if after.desired != before.desired]
    return [(round(each.at), each.streams, each.desired, each.ready) for each in (samples[0], *changed)]

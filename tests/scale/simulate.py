"""`make simulate-scale`: how the real autoscaler, with our defaults, follows a step, noise and silence."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec

from chatfleet_operator.model import Manifest
from scale.compressed import play, stage
from scale.load import Profile
from scale.series import Sample, directions
from scale.subject import CAP, Subject

SEED: Final = 7
BEFORE, AFTER, STEP_AT = 50, 600, 30
TARGET: Final = CAP * 70 // 100
TOLERANCE: Final = 0.1
"""Of the autoscaler: by so much a pod may be off its target and nothing changes."""
RIGHT: Final = range(8, 10)
"""Pods that are right for 600 streams at 70 a pod: 9, or 8, where each carries 75 and the tolerance says enough."""
NOISE_SECONDS: Final = 1800
DEAD: Final = (60, 660)
"""When no pod tells its figures."""


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


@dataclass(frozen=True)
class Wishes:
    """How much of each scenario is played."""

    factor: int
    noise: Profile
    step_seconds: int = 240
    noise_seconds: int = NOISE_SECONDS
    dead: tuple[int, int] | None = DEAD


def simulated(wishes: Wishes, *, seed: int = SEED) -> list[Outcome]:
    """Play all scenarios side by side and judge them."""
    with stage(wishes.factor) as kubectl, ExitStack() as alive:
        elastic: Manifest = {"minReplicas": 2, "maxReplicas": 20}
        hasty = {**elastic, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}

        def follows(name: str, seconds: int, scaling: Manifest, pods: int = 4) -> Subject:
            return Subject(name, wishes.noise, seconds, alive, scaling, pods=pods, seed=seed)

        step = Subject("step", _step, wishes.step_seconds, alive, elastic, pods=2, seed=seed)
        noisy_ones = [follows("noise", wishes.noise_seconds, elastic), follows("hasty", wishes.noise_seconds, hasty)]
        silent = []
        if wishes.dead:
            begin, end = wishes.dead
            fall = Subject("silent", lambda now: 400 if now < begin else BEFORE, end + 600, alive, elastic, pods=6)
            fall.silence = wishes.dead
            silent.append(fall)
        play(kubectl, [step, *noisy_ones, *silent], factor=wishes.factor)
    return [
        stepped(step.samples),
        *(turned(each.samples, control=each.name == "hasty") for each in noisy_ones),
        *(stayed(each.samples, each.silence) for each in silent),
    ]


def _step(now: float) -> int:
    return BEFORE if now < STEP_AT else AFTER


def stepped(samples: Sequence[Sample]) -> Outcome:
    """Judge the step: how soon pods came, and how many too many."""
    after = [each for each in samples if each.at >= STEP_AT]
    first = next((each.at - STEP_AT for each in after if each.ready > samples[0].ready), 999.0)
    right = next((each.at - STEP_AT for each in after if each.ready >= RIGHT.start), 999.0)
    over = max(0, max(each.desired for each in samples) - RIGHT[-1])
    figures: dict[str, float] = {
        "first new pod ready after s": round(first),
        "right number of pods ready after s": round(right),
        "pods too many": over,
        "pods at the end": samples[-1].ready,
        "all streams open after s": round(next((each.at - STEP_AT for each in after if not each.refused), 999.0)),
    }
    aims = dict(zip(figures, ("≤ 45", "≤ 120", "≤ 1", "8 or 9"), strict=False))
    kept = first <= 45 and right <= 120 and over <= 1 and samples[-1].ready in RIGHT  # the aims
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
    what = f"no pod tells its figures for {(end - begin) / 60:g} minutes, in which most streams end"
    kept = gone == 0 and later[-1] < during[-1]
    aims = {"scale-downs without figures": "0", "pods at the end": "fewer"}
    return Outcome("silence", what, figures, aims, kept, course(samples))


def _waited(samples: Sequence[Sample]) -> float:
    return round(100 * sum(each.refused for each in samples) / sum(each.wanted for each in samples), 2)


def course(samples: Sequence[Sample]) -> list[tuple[int, int, int, int]]:
    """Return the samples at which the wish for pods changed."""
    changed = [after for before, after in pairwise(samples) if after.desired != before.desired]
    return [(round(each.at), each.streams, each.desired, each.ready) for each in (samples[0], *changed)]


def say(outcomes: Sequence[Outcome]) -> None:
    """Print what was seen."""
    for each in outcomes:
        sys.stdout.write(f"{'kept  ' if each.kept else 'BROKEN'} {each.name}: {each.what}; {each.figures}\n")

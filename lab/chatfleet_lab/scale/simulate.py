"""`make simulate-scale`: how the real autoscaler, with our defaults, follows a step, noise and silence."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from chatfleet_lab.scale.compressed import play, stage
from chatfleet_lab.scale.evaluate import AFTER, BEFORE, STEP_AT, Outcome, stayed, stepped, turned
from chatfleet_lab.scale.subject import STREAM_SECONDS, Subject
from chatfleet_operator.model.values import Manifest
from harness.clients.load import Profile

SEED: Final = 7
NOISE_SECONDS: Final = 1800
DEAD: Final = (60, 660)
"""When no pod tells its figures."""


@dataclass(frozen=True)
class Wishes:
    """How much of each scenario is played."""

    factor: int
    noise: Profile
    step_seconds: int = 240
    step_stream_seconds: int = STREAM_SECONDS
    """Long beside the age of figures. Else streams that move to a new pod are counted twice: on it, and in the old
    figures of the pod where they ended."""
    noise_seconds: int = NOISE_SECONDS
    dead: tuple[int, int] | None = DEAD


def simulated(wishes: Wishes, *, seed: int = SEED) -> list[Outcome]:
    """Play all scenarios side by side and judge them."""
    with stage(wishes.factor) as kubectl, ExitStack() as alive:
        elastic: Manifest = {"minReplicas": 2, "maxReplicas": 20}
        hasty = {**elastic, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}

        def follows(name: str, seconds: int, scaling: Manifest, pods: int = 4) -> Subject:
            return Subject(name, wishes.noise, seconds, alive, scaling, pods=pods, seed=seed)

        step = Subject(
            "step",
            _step,
            wishes.step_seconds,
            alive,
            elastic,
            pods=2,
            stream_seconds=wishes.step_stream_seconds,
            seed=seed,
        )
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


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what was seen."""
    for each in outcomes:
        sys.stdout.write(f"{'kept  ' if each.kept else 'BROKEN'} {each.name}: {each.what}; {each.figures}\n")

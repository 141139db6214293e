"""Plays a scenario twice, with the protection and without, and says what came of it."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Literal

import msgspec

from chatfleet_lab.chaos.fleet import PROCESSES, Platform
from chatfleet_lab.chaos.scenario import VARIANTS, Figure, Findings, Scenario, Size, Variant, open_trial

TRACEBACK = "Traceback (most recent call last)"


class Result(msgspec.Struct, frozen=True):
    """What a scenario showed."""

    name: str
    promise: str
    control: str
    size: Size
    seed: int
    seconds: float
    figures: dict[str, Figure]
    failures: list[str]
    """Of the run with the protection: must be empty."""
    control_figures: dict[str, Figure]
    control_failures: list[str]
    """Of the run without: must not be empty."""
    hurt: tuple[str, ...] = ()
    targets: dict[str, str] = {}
    aim: str = ""
    on: Literal["processes", "node"] = "processes"
    """What its pods were."""

    @property
    def passed(self) -> bool:
        """Whether the promise was kept, and the scenario able to tell."""
        return not self.failures and bool(self.control_failures)

    def verdict(self) -> str:
        """Say in a sentence or more whether it passed, and why not."""
        if self.failures:
            return f"{self.name}: {self.promise} Broken: {' '.join(self.failures)}"
        if not self.control_failures:
            proves = f"{self.name}: the control run ({self.control}) failed nowhere, so the scenario proves nothing."
            return f"{proves} Its figures: {self.control_figures}."
        return f"{self.name}: kept."


async def run(scenario: Scenario, size: Size, seed: int, folder: Path, place: Platform = PROCESSES) -> Result:
    """Play a scenario's two runs; `folder` keeps the logs of all processes.

    The short form plays them at the same time, as it is about promises; the long one, which is about figures, in turn.
    The control run has the size of the short form either way: it only has to break. Its pods are always processes: no
    operator makes pods that lack a protection, or Redis.
    """
    began = monotonic()
    turn = asyncio.Semaphore(len(VARIANTS) if size == "short" else 1)

    async def play(variant: Variant) -> Findings:
        of_size, at = (size, place) if variant == "protected" else ("short", PROCESSES)
        async with turn, open_trial(_made(folder / variant), of_size, variant, seed, at) as trial:
            return await scenario.play(trial)

    protected, control = await asyncio.gather(*map(play, VARIANTS))
    for line in unhandled(folder / VARIANTS[0]):
        protected.failures.append(f"A pod met an error that it did not expect: {line}")
    return Result(
        scenario.name,
        scenario.promise,
        scenario.control,
        size,
        seed,
        round(monotonic() - began, 1),
        protected.figures,
        protected.failures,
        control.figures,
        control.failures,
        scenario.hurt,
        dict(scenario.targets),
        scenario.aim,
        place.name,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def unhandled(folder: Path) -> list[str]:
    """Return the lines of the pods' logs below `folder` that tell of errors which nobody expected."""
    lines = (line for log in folder.rglob("pod-*.log") for line in log.read_text(errors="replace").splitlines())
    return [line for line in lines if TRACEBACK in line]

"""Plays a scenario twice, with the protection and without, and says what came of it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import msgspec

from chaos.scenario import Arm, Figure, Findings, Scenario, Size, open_arena


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

    @property
    def passed(self) -> bool:
        """Whether the promise was kept, and the scenario able to tell."""
        return not self.failures and bool(self.control_failures)

    def verdict(self) -> str:
        """Say in a sentence or more whether it passed, and why not."""
        if self.failures:
            return f"{self.name}: {self.promise} Broken: {' '.join(self.failures)}"
        if not self.control_failures:
            return f"{self.name}: the control run ({self.control}) failed nowhere, so the scenario proves nothing."
        return f"{self.name}: kept."


async def run(scenario: Scenario, size: Size, seed: int) -> Result:
    """Play a scenario's two runs, one after the other."""
    began = monotonic()
    protected = await _play(scenario, size, "protected", seed)
    control = await _play(scenario, size, "control", seed)
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
    )


async def _play(scenario: Scenario, size: Size, arm: Arm, seed: int) -> Findings:
    with TemporaryDirectory(prefix="chatfleet-chaos-") as folder:
        async with open_arena(Path(folder), size, arm, seed) as arena:
            return await scenario.play(arena)

"""Run every check and test of this repository: `make test`.

Phases run one after the other, the lanes of a phase side by side, and the steps of a lane one after the other: steps
that wait (for pods, timers, a cluster) share the cores with steps that compute, and steps that depend on time have them
for themselves. The output of a step is printed when the step ends, and every half minute a line names what is running.
The first failure stops everything. A step over its budget is reported, not failed.
"""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

ROOT = Path(__file__).resolve().parents[1]
HEARTBEAT_SECONDS = 30
CLEANUP_SECONDS = 90
"""Time that a step gets to remove its clusters and processes when it is stopped."""


class Step(NamedTuple):
    """A target of the Makefile."""

    target: str
    budget: int
    """Seconds that it may take on two cores with everything built: the slowest of several runs, and a fifth more."""
    nice: int = 0
    """Greater: it computes while what runs beside it waits."""


Lane: TypeAlias = tuple[Step, ...]
Phase: TypeAlias = tuple[Lane, ...]

COMPUTES = 10
"""Niceness of what only computes: a tenth of a core when something beside it computes, too."""

PHASES: tuple[Phase, ...] = (
    (
        (Step("lint", 15), Step("test-chaos", 280)),
        (Step("types", 90, COMPUTES), Step("test-unit", 350, COMPUTES), Step("coverage", 20)),
    ),
    ((Step("test-contract", 450),), (Step("test-cluster", 300), Step("test-bench", 60))),
    ((Step("test-timed", 130),),),  # alone: they promise times, or they measure
    ((Step("test-cluster-tool", 240),), (Step("e2e", 580),)),
)

INTERRUPTED = Step("test", 0)
"""What failed when somebody stopped the run between two steps."""


@dataclass
class Run:
    """What is running, what has ended, and after how many seconds."""

    began: float = field(default_factory=time.monotonic)
    running: dict[Step, "asyncio.subprocess.Process"] = field(default_factory=dict)
    started: dict[Step, float] = field(default_factory=dict)
    seconds: dict[Step, float] = field(default_factory=dict)
    failed: Step | None = None
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first failure."""

    async def lane(self, steps: Lane) -> None:
        """Run `steps` until one fails, here or in another lane."""
        for step in steps:
            if self.failed:
                return
            await self._step(step)

    async def _step(self, step: Step) -> None:
        self.started[step] = time.monotonic()
        say(f"started: make {step.target}")
        process = await asyncio.create_subprocess_exec(
            *("nice", "-n", str(step.nice), "make", step.target),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        lower_priority(process.pid, step.nice)
        self.running[step] = process
        output, _ = await process.communicate()
        del self.running[step]
        if self.failed:
            return  # stopped because of another step, whose output matters
        self.seconds[step] = time.monotonic() - self.started[step]
        print(f"\n{'─' * 16} make {step.target}\n{output.decode(errors='replace').rstrip()}", flush=True)
        outcome = "FAILED" if process.returncode else "passed"
        say(f"{outcome}: make {step.target}, {self.seconds[step]:.0f} s (budget {step.budget} s)")
        if process.returncode:
            self.fail(step)

    def fail(self, step: Step) -> None:
        """Stop everything because `step` failed."""
        self.failed = step
        self.ending.set()
        self.stop(signal.SIGINT)

    def stop(self, how: signal.Signals) -> None:
        """Send `how` to every running step and its children."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)

    async def heartbeat(self) -> None:
        """Print what is running, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = time.monotonic()
            parts = (f"{step.target} {now - self.started[step]:.0f} s" for step in self.running)
            say(f"{now - self.began:.0f} s: running {', '.join(parts)}")

    async def enforce_cleanup(self) -> None:
        """Kill what does not end by itself after a failure, until cancelled."""
        await self.ending.wait()
        await asyncio.sleep(CLEANUP_SECONDS)
        self.stop(signal.SIGKILL)

    def summary(self) -> str:
        """Return the time of every step beside its budget."""
        rows = [
            f"  {step.target:<18} {seconds:>5.0f} s of {step.budget:>3} s"
            + ("   OVER BUDGET: speed it up, or raise the budget with a reason" if seconds > step.budget else "")
            for step, seconds in self.seconds.items()
        ]
        return "\n".join(rows)


def lower_priority(pid: int, nice: int) -> None:
    """Lower the priority of the session of `pid`: Linux may share cores by session, `nice` within one (sched(7))."""
    if nice:
        with suppress(OSError):  # no such grouping, or no right to change it: then the step only runs faster
            Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def say(line: str) -> None:
    """Print a line of our own."""
    print(f"[test] {line}", flush=True)


async def main(phases: tuple[Phase, ...] = PHASES) -> int:
    """Run `phases`, one after the other; returns the exit status."""
    run = Run()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted, run)
    helpers = [asyncio.ensure_future(run.heartbeat()), asyncio.ensure_future(run.enforce_cleanup())]
    try:
        for phase in phases:
            await asyncio.gather(*map(run.lane, phase))
    finally:
        for helper in helpers:
            helper.cancel()
    print(f"\n[test] seconds of each step:\n{run.summary()}")
    if run.failed:
        say(f"FAILED: make {run.failed.target}; its output is above. Run it alone: make {run.failed.target}")
        return 1
    say(f"all {len(run.seconds)} steps passed in {time.monotonic() - run.began:.0f} s")
    return 0


def interrupted(run: Run) -> None:
    """Stop everything on Ctrl-C, and exit with a failure."""
    run.fail(run.failed or next(iter(run.running), INTERRUPTED))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

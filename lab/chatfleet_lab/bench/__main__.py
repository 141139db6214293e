"""`python -m chatfleet_lab.bench`: measure all subjects side by side; writes docs/measurements/benchmarks.{md,json}."""

import argparse
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from chatfleet_lab.bench.client import LoadError
from chatfleet_lab.bench.measure import Figures, Seconds, measured, typical
from chatfleet_lab.bench.processes import Cores, take_cores
from chatfleet_lab.bench.profile import profile
from chatfleet_lab.bench.report import Outcome, Result, page
from chatfleet_lab.bench.subjects import DIRECT, SUBJECTS, Subject
from chatfleet_lab.bench.yardstick import import_seconds, versions, yardstick_us
from chatfleet_lab.machine import facts

MEASUREMENTS: Final = Path(__file__).parents[3] / "docs" / "measurements"
PROFILE_SECONDS: Final = 10


def main() -> int:
    """Run the benchmark; returns the exit status."""
    keys = [subject.key for subject in SUBJECTS]
    parser = argparse.ArgumentParser("python -m chatfleet_lab.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each subject is measured (2); medians count")
    parser.add_argument("--only", nargs="+", choices=keys, help="subjects to measure; the page is printed, not kept")
    given = parser.parse_args()
    subjects = [subject for subject in SUBJECTS if not given.only or subject is DIRECT or subject.key in given.only]
    try:
        for subject in subjects:
            if subject.package is not None:
                subject.package.install()
        cores = take_cores()
    except (subprocess.CalledProcessError, RuntimeError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    result = uvloop.run(_result(subjects, cores, given.rounds))
    if given.only:
        sys.stdout.write(page(result))
    else:
        (MEASUREMENTS / "benchmarks.md").write_text(page(result))
        (MEASUREMENTS / "benchmarks.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
        sys.stderr.write(f"[bench] written: {MEASUREMENTS / 'benchmarks.md'}\n")
    return 0


async def _result(subjects: list[Subject], cores: Cores, rounds: int) -> Result:
    taken: dict[str, list[Figures]] = {subject.key: [] for subject in subjects}
    yardsticks = []
    for number in range(1, rounds + 1):
        for subject in subjects:
            sys.stderr.write(f"[bench] round {number} of {rounds}: {subject.key}\n")
            try:
                taken[subject.key].append(await measured(subject, cores, Seconds()))
            except (LoadError, TimeoutError) as error:
                sys.stderr.write(f"[bench]   this round of it does not count: {error}\n")
            yardsticks.append(yardstick_us())
    sys.stderr.write("[bench] profile\n")
    return Result(
        date=datetime.now(UTC).date().isoformat(),
        rounds=rounds,
        machine=facts() | versions(),
        yardstick_us=sorted(yardsticks)[len(yardsticks) // 2],
        import_s=import_seconds(cores),
        outcomes=[
            Outcome(subject.key, subject.name, typical(taken[subject.key]))
            for subject in subjects
            if taken[subject.key]
        ],
        profile=await profile(cores, PROFILE_SECONDS),
    )


if __name__ == "__main__":
    sys.exit(main())

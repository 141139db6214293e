"""`make chaos`, or `PYTHONPATH=tests python -m chaos`: plays the scenarios and writes what came of them."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbelow
from tempfile import mkdtemp

import msgspec
from msgspec.structs import replace

from chaos.machine import machine
from chaos.report import Report, page
from chaos.runner import run
from chaos.scenarios.all import SCENARIOS
from scale.page import found

NAMES = tuple(scenario.name for scenario in SCENARIOS)


def main() -> int:
    """Play what the arguments ask for; returns 1 when a promise was broken."""
    asked = _arguments()
    logs = Path(mkdtemp(prefix="chatfleet-chaos-"))
    _say(f"{asked.size} form, seed {asked.seed}, logs in {logs}")
    chosen = [scenario for scenario in SCENARIOS if scenario.name in (asked.only or NAMES)]
    report = Report(datetime.now(UTC).date().isoformat(), asked.size, asked.seed, machine(), [])
    if asked.only and asked.json and asked.json.exists():
        before = msgspec.json.decode(asked.json.read_bytes(), type=Report)
        report = replace(report, results=[result for result in before.results if result.size == asked.size])
    for number, scenario in enumerate(chosen, 1):
        _say(f"{number} of {len(chosen)}: {scenario.name}")
        result = asyncio.run(run(scenario, asked.size, asked.seed, logs / str(number)))
        report = report.having(result, NAMES)
        _say(f"{result.verdict()} {result.seconds:g} s, {result.figures}")
        if asked.json:
            asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        if asked.page:
            asked.page.write_text(page(report, found(asked.page.parent)))
    return 0 if all(result.passed for result in report.results) else 1


def _say(words: str) -> None:
    sys.stdout.write(f"[chaos] {words}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--size", choices=("short", "long"), default="long", help="how much load, how many rounds")
    parser.add_argument("--seed", type=int, default=randbelow(10**6), help="of all chance; default: any")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="a scenario; may be repeated; the file keeps the others"
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--page", type=Path, help="file for the page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

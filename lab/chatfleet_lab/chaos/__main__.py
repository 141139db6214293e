"""`make chaos`, or `python -m chatfleet_lab.chaos`: plays the scenarios and writes what came of them.

With `--on node` (`make chaos-node`) the pods are those of a ChatDeployment on a real node, which is made for it.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbelow
from tempfile import mkdtemp

import msgspec
from msgspec.structs import replace

from chatfleet_lab.chaos.fleet import PROCESSES, Platform
from chatfleet_lab.chaos.node import on_node
from chatfleet_lab.chaos.report import Report, page
from chatfleet_lab.chaos.runner import Result, run
from chatfleet_lab.chaos.scenarios.all import SCENARIOS
from chatfleet_lab.machine import in_one_line
from chatfleet_lab.scale.page import found
from harness.kube.node import install, running_node

NAMES = tuple(scenario.name for scenario in SCENARIOS)
CLUSTER = "chaos"


def main() -> int:
    """Play what the arguments ask for; returns 1 when a promise was broken."""
    asked = _arguments()
    with _place(asked.on) as place:
        return _play(asked, place)


def _play(asked: argparse.Namespace, place: Platform) -> int:
    logs = Path(mkdtemp(prefix="chatfleet-chaos-"))
    _say(f"{asked.size} form on {asked.on}, seed {asked.seed}, logs in {logs}")
    playable = [scenario for scenario in SCENARIOS if scenario.on_node or place is PROCESSES]
    chosen = [scenario for scenario in playable if scenario.name in (asked.only or NAMES)]
    report = Report(datetime.now(UTC).date().isoformat(), asked.size, asked.seed, in_one_line(), [])
    if asked.json and asked.json.exists():
        before = msgspec.json.decode(asked.json.read_bytes(), type=Report)
        report = replace(report, results=[result for result in before.results if _stays(result, asked)])
    for number, scenario in enumerate(chosen, 1):
        _say(f"{number} of {len(chosen)}: {scenario.name}")
        result = asyncio.run(run(scenario, asked.size, asked.seed, logs / str(number), place))
        report = report.having(result, NAMES)
        _say(f"{result.verdict()} {result.seconds:g} s, {result.figures}")
        if asked.json:
            asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        if asked.page:
            asked.page.write_text(page(report, found(asked.page.parent)))
    return 0 if all(result.passed for result in report.results) else 1


def _stays(result: Result, asked: argparse.Namespace) -> bool:
    """Return whether a result of an earlier run is still one: of the same size, and not of what is played anew."""
    return result.size == asked.size and (result.on != asked.on or bool(asked.only))


@contextmanager
def _place(name: str) -> Iterator[Platform]:
    if name == PROCESSES.name:
        yield PROCESSES
        return
    with running_node(CLUSTER) as node:
        install(node)
        yield on_node(node)


def _say(words: str) -> None:
    sys.stdout.write(f"[chaos] {words}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chatfleet_lab.chaos", description=__doc__)
    parser.add_argument("--size", choices=("short", "long"), default="long", help="how much load, how many rounds")
    parser.add_argument("--on", choices=("processes", "node"), default=PROCESSES.name, help="what the pods are")
    parser.add_argument("--seed", type=int, default=randbelow(10**6), help="of all chance; default: any")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="a scenario; may be repeated; the file keeps the others"
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--page", type=Path, help="file for the page")
    asked = parser.parse_args()
    here_only = {scenario.name for scenario in SCENARIOS if not scenario.on_node}
    if asked.on != PROCESSES.name and (kept := here_only.intersection(asked.only or ())):
        parser.error(f"played with processes alone: {', '.join(sorted(kept))}")
    return asked


if __name__ == "__main__":
    sys.exit(main())

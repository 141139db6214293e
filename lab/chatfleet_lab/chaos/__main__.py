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
    """Run the selected scenarios; returns 1 when a promise was broken."""
    arguments = _arguments()
    with _place(arguments.on) as place:
        return run_scenarios(arguments, place)


def run_scenarios(arguments: argparse.Namespace, place: Platform) -> int:
    logs = Path(mkdtemp(prefix="chatfleet-chaos-"))
    log(f"{arguments.size} form on {arguments.on}, seed {arguments.seed}, logs in {logs}")
    playable = [scenario for scenario in SCENARIOS if scenario.on_node or place is PROCESSES]
    chosen = [scenario for scenario in playable if scenario.name in (arguments.only or NAMES)]
    report = Report(datetime.now(UTC).date().isoformat(), arguments.size, arguments.seed, in_one_line(), [])
    if arguments.json and arguments.json.exists():
        before = msgspec.json.decode(arguments.json.read_bytes(), type=Report)
        report = replace(report, results=[result for result in before.results if _keep(result, arguments)])
    for number, scenario in enumerate(chosen, 1):
        log(f"{number} of {len(chosen)}: {scenario.name}")
        result = asyncio.run(run(scenario, arguments.size, arguments.seed, logs / str(number), place))
        report = report.having(result, NAMES)
        log(f"{result.verdict()} {result.seconds:g} s, {result.figures}")
        if arguments.json:
            arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        if arguments.page:
            arguments.page.write_text(page(report, found(arguments.page.parent)))
    return 0 if all(result.passed for result in report.results) else 1


def _keep(result: Result, arguments: argparse.Namespace) -> bool:
    """Return whether a result of an earlier run is still one: of the same size, and not of what is played anew."""
    return result.size == arguments.size and (result.on != arguments.on or bool(arguments.only))


@contextmanager
def _place(name: str) -> Iterator[Platform]:
    if name == PROCESSES.name:
        yield PROCESSES
        return
    with running_node(CLUSTER) as node:
        install(node)
        yield on_node(node)


def log(message: str) -> None:
    sys.stdout.write(f"[chaos] {message}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chatfleet_lab.chaos", description=__doc__)
    parser.add_argument("--size", choices=("short", "long"), default="long", help="how much load, how many rounds")
    parser.add_argument("--on", choices=("processes", "node"), default=PROCESSES.name, help="what the pods are")
    parser.add_argument("--seed", type=int, default=randbelow(10**6), help="seed; default: random")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="a scenario; may be repeated; the file keeps the others"
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--page", type=Path, help="file for the page")
    arguments = parser.parse_args()
    here_only = {scenario.name for scenario in SCENARIOS if not scenario.on_node}
    if arguments.on != PROCESSES.name and (kept := here_only.intersection(arguments.only or ())):
        parser.error(f"played with processes alone: {', '.join(sorted(kept))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

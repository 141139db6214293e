"""The page of the promises, how each was tested, and the results. Pure: a report in, Markdown out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from chatfleet_lab.chaos.runner import Result
from chatfleet_lab.chaos.scenario import Figure, Size

MOST_SHOWN: Final = 5
"""Broken promises of one scenario that the page quotes."""
_INTRODUCTION: Final = """\
# Reliability, as measured

Written by `make chaos` and `make chaos-node`; do not edit. The harness is `lab/chatfleet_lab/chaos`, the same figures
for programs are in [reliability.json](reliability.json).

Each scenario injects faults into a real fleet (processes of the API, Debian's Redis, a scripted upstream) and checks a
promise.
In those marked "on a node", the operator made the pods on a real Kubernetes node, and its kubelet brings them back;
their control runs are processes.
Clients compare what they get with a script that both they and the upstream know, and with the upstream's own ledger of
calls. Then the same is played without the protection. If that **control** does not break the promise, the scenario
counts as failed, because it would prove nothing.
"""
_LIMITS: Final = """\
## What breaks first

At 10 times the load of one pod, its processor: a pod is one process, so streams beyond a core's worth come late, and
those beyond `maxStreamsPerPod` are refused; add pods. A takeover of 10 times the streams takes one script for each of
them, some tenths of a second of Redis, and as many free slots on the other pods: streams beyond those wait for a slot.

At 100 times, Redis: each pod's heartbeat is answered with those of all others, four times a second, so the cost grows
with the square of the pods (at 100 pods 40,000 heartbeats a second, at 1,000 pods 4 million, which is too much); and
the log of an hour's tokens (`logTTLSeconds`) has to fit into its memory. Then use a cluster for the logs, or more
ChatDeployments, each with a Redis of its own.

## What these figures do not show

Clients, pods, upstream and Redis share the machine, so times are upper bounds. Redis is killed, not its machine: what
the operating system had taken and not written to the disk is never lost here. A replica that is promoted while it is
behind loses what it had not got; how much that is, the control of "acknowledged means kept" prints.
"""


class Report(msgspec.Struct, frozen=True):
    """What one command played, when, and where."""

    when: str
    """Day, in UTC."""
    size: Size
    seed: int
    machine: str
    """What the figures depend on."""
    results: list[Result]

    def having(self, result: Result, order: Sequence[str]) -> "Report":
        """Return the report with this result in the place of an older one of the same scenario, in `order` of names.

        What was played on a node comes last.
        """
        others = [other for other in self.results if (other.name, other.on) != (result.name, result.on)]
        ordered = sorted([*others, result], key=lambda one: (one.on == "node", order.index(one.name)))
        return replace(self, results=ordered)


def page(report: Report, scaling: str = "") -> str:
    """Return the whole page; `scaling` is the section of another harness."""
    head = f"Last run: {report.when}, {report.size} form, seed {report.seed}, on {report.machine}.\n"
    others = [scaling] if scaling else []
    return "\n".join([_INTRODUCTION, head, _table(report.results), _LIMITS, *others, *map(_section, report.results)])


def _table(results: Iterable[Result]) -> str:
    lines = ["| Scenario | Fault injected | Promise | Violations in the control run |", "|---|---|---|---|"]
    for result in results:
        kept = "kept" if result.passed else "**broken**"
        injected = ", ".join(f"{_shown(result.figures, name)} {name}" for name in result.hurt if name in result.figures)
        lines.append(
            f"| [{_name(result)}](#{_anchor(result)}) | {injected} | {kept} | {len(result.control_failures):,} |"
        )
    return "\n".join([*lines, ""])


def _section(result: Result) -> str:
    names = dict.fromkeys([*result.figures, *result.targets, *result.control_figures])
    lines = [
        *(f"## {_title(result)}", "", result.promise, ""),
        *(f"Control: {result.control}. Full size: {result.aim}. Duration: {result.seconds:g} s.", ""),
        *("| Figure | Target | Chatfleet | Control |", "|---|---|---|---|"),
        *(
            f"| {name} | {result.targets.get(name, '')} | {_shown(result.figures, name, result.targets)} "
            f"| {_shown(result.control_figures, name)} |"
            for name in names
        ),
        *("", f"A violation in the control run: {result.control_failures[0]}" if result.control_failures else ""),
    ]
    return "\n".join([*lines, "", *_broken(result.failures), ""]).rstrip() + "\n"


def _broken(failures: Sequence[str]) -> list[str]:
    more = [f"- and {len(failures) - MOST_SHOWN:,} more"] if len(failures) > MOST_SHOWN else []
    return [*(f"- **Broken:** {failure}" for failure in failures[:MOST_SHOWN]), *more]


def _title(result: Result) -> str:
    return result.name[0].upper() + _name(result)[1:]


def _name(result: Result) -> str:
    return result.name if result.on == "processes" else f"{result.name}, on a node"


def _anchor(result: Result) -> str:
    return _name(result).lower().replace(" ", "-").replace("'", "").replace(",", "")


def _shown(figures: Mapping[str, Figure], name: str, counted: Iterable[str] = ()) -> str:
    """Return a figure as it is read; what is `counted` and did not happen was counted to 0."""
    if name in figures:
        figure = figures[name]
        return figure if isinstance(figure, str) else f"{figure:,}"
    return "0" if name in counted else ""

"""The page that tells what was promised, how it was tried, and what came of it. Pure: results in, Markdown out."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from chaos.runner import Result
from chaos.scenario import Figure

_INTRODUCTION: Final = """\
# Reliability, as measured

Written by `make chaos`; do not edit. The harness is `tests/chaos`.

Each scenario hurts a real fleet (processes of the API, Debian's Redis, a scripted upstream) and checks a promise.
Clients compare what they get with a script that both they and the upstream know, and with the upstream's own ledger of
calls. Then the same is played without the protection. If that **control** does not break the promise, the scenario
counts as failed, because it would prove nothing.
"""


def page(results: Iterable[Result], when: datetime) -> str:
    """Return the whole page."""
    results = list(results)
    sizes = ", ".join(sorted({result.size for result in results}))
    seeds = ", ".join(sorted({str(result.seed) for result in results}))
    head = f"Last run: {when:%Y-%m-%d}, {sizes} form, seed {seeds}.\n"
    return "\n".join([_INTRODUCTION, head, _table(results), *map(_section, results)])


def _table(results: Iterable[Result]) -> str:
    lines = ["| Scenario | Promise | Times that the control broke it | Seconds |", "|---|---|---|---|"]
    for result in results:
        kept = "kept" if result.passed else "**broken**"
        lines.append(f"| {result.name} | {kept} | {len(result.control_failures):,} | {result.seconds:g} |")
    return "\n".join([*lines, ""])


def _section(result: Result) -> str:
    lines = [
        *(f"## {result.name[0].upper()}{result.name[1:]}", "", result.promise, ""),
        *(f"Control: {result.control}.", ""),
        *("| Figure | Chatfleet | Control |", "|---|---|---|"),
    ]
    lines += [
        f"| {name} | {_shown(result.figures, name)} | {_shown(result.control_figures, name)} |"
        for name in dict.fromkeys([*result.figures, *result.control_figures])
    ]
    return "\n".join([*lines, "", *(f"- {failure}" for failure in result.failures)])


def _shown(figures: Mapping[str, Figure], name: str) -> str:
    return f"{figures[name]:,}" if name in figures else ""

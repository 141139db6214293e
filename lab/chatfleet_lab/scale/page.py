"""The sections of others in docs/measurements/reliability.md: scaling, from what endured and was simulated; faults."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chatfleet_lab.chaos.report import Report, page
from chatfleet_lab.faults import page as faults
from chatfleet_lab.scale.delayed_rules import STOPPED_SECONDS
from chatfleet_lab.scale.endure import EnduranceResult
from chatfleet_lab.scale.evaluate import Outcome, Simulation

ENDURED: Final = "scaling.json"
SIMULATED: Final = "scaling-simulated.json"
WATCHED: Final = "scaling-watched.json"


def found(folder: Path) -> str:
    """Return the sections from the files of figures that are in `folder`."""
    endured, simulated, watched = folder / ENDURED, folder / SIMULATED, folder / WATCHED
    scaling = section(
        msgspec.json.decode(endured.read_bytes(), type=list[EnduranceResult]) if endured.exists() else [],
        msgspec.json.decode(simulated.read_bytes(), type=Simulation) if simulated.exists() else None,
        msgspec.json.decode(watched.read_bytes(), type=Outcome) if watched.exists() else None,
    )
    return "\n".join(filter(None, (faults.section(faults.read(folder)), scaling)))


def rewrite(folder: Path) -> None:
    """Write docs/measurements/reliability.md anew from its figures, where these are in `folder`."""
    figures = folder / "reliability.json"
    if figures.exists():
        report = msgspec.json.decode(figures.read_bytes(), type=Report)
        (folder / "reliability.md").write_text(page(report, found(folder)))


def section(endured: Sequence[EnduranceResult], simulation: Simulation | None, watched: Outcome | None = None) -> str:
    """Return Markdown; empty where nothing was played."""
    parts = [*_endured(endured), *_simulated(simulation), *_watched(watched)]
    return "\n".join(["## Scaling", "", *parts]).rstrip() + "\n" if parts else ""


def _endured(arms: Sequence[EnduranceResult]) -> Iterator[str]:
    if not arms:
        return
    yield (
        "Streams on a real node while its pods come and go (`make chaos-scale`). What a Service leads to changes late,"
        f" as in a cluster of many nodes: kube-proxy is paused for {STOPPED_SECONDS:g} s at a time. The control has no"
        " `drainSeconds`."
    )
    yield from (
        "",
        "| Variant | Streams | Whole | Cut | Refused | Done to the pods | It took |",
        "|---|---|---|---|---|---|---|",
    )
    for arm in arms:
        name = f"drainSeconds {arm.drain_seconds}" if arm.drain_seconds else "control"
        done = ", ".join(f"{times} {what}" for what, times in arm.done.items())
        counts = " | ".join(f"{count:,}" for count in (arm.streams, arm.whole, arm.cut, arm.refused))
        yield f"| {name} | {counts} | {done} | {arm.seconds} s |"
    yield ""


def _simulated(simulation: Simulation | None) -> Iterator[str]:
    if simulation is None:
        return
    yield (
        f"The real HorizontalPodAutoscaler with our defaults and our metrics API server (`make simulate-scale`,"
        f" {simulation.when}, seed {simulation.seed}), in time that runs {simulation.factor} times as fast: the"
        f" autoscaler's period and windows, the starts of pods ({simulation.start_seconds} s) and streams (about"
        f" {simulation.stream_seconds} s) are divided. Pods are objects that no kubelet starts, and export figures over"
        f" HTTP; a delay of this machine of 0.1 s counts as {simulation.factor * 0.1:g} s. Figures are in the seconds"
        f" that were simulated. The sizes behind them: [Sizing](../guide/autoscaling.md#sizing)."
    )
    yield from ("", *_table(simulation.outcomes))


def _watched(outcome: Outcome | None) -> Iterator[str]:
    if outcome:
        yield (
            "The same on a real node, with real pods and in real time (`python -m chatfleet_lab.scale watch --noise`)."
        )
        yield from ("", *_table([outcome]))


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield from ("| Scenario | Figure | Target | Measured |", "|---|---|---|---|")
    for outcome in outcomes:
        yield from _rows(outcome)
    yield ""


def _rows(outcome: Outcome) -> Iterator[str]:
    title = outcome.what if outcome.kept else f"{outcome.what}; **broken**"
    for name, figure in outcome.figures.items():
        yield f"| {title} | {name} | {outcome.aims.get(name, '')} | {figure:g} |"
        title = ""

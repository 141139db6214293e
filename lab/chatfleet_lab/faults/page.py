"""The section on faults in docs/measurements/reliability.md. Pure, but for reading the measurements."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chatfleet_lab.faults.driver import Measured, Place
from chatfleet_lab.faults.fault import LIMIT_SECONDS
from chatfleet_lab.faults.rows.all import KINDS

FIGURES: Final = "faults.json"
_INTRODUCTION: Final = """\
## Faults and conditions

Written by `make chaos-node`, from [faults.json](faults.json). Each row is a fault that was made, in a namespace with a
ChatDeployment of its own, at the same time as others. *Reported* is the time from the fault until the condition has the
reason, and the message the words; *healed* is the time from the removal of the cause, 15 s or more later, until the
condition is without them. What is repaired at once is in no condition; *healed* is then the time until the object is as
it was. The aim is {limit:g} s for both; what took longer is **bold**. At "API server", Kubernetes' own controllers run
with the operator, and no kubelet; at "node", a whole node runs pods. Kubernetes itself takes more than 40 s to mark a
node as lost.
"""


class Measurement(msgspec.Struct, frozen=True):
    """All rows at one place: when, and on which machine."""

    place: Place
    when: str
    machine: str
    at_once: int
    """Faults that were made at the same time."""
    rows: list[Measured]


def read(folder: Path) -> list[Measurement]:
    """Return the measurements of a folder; none: nothing was measured."""
    file = folder / FIGURES
    return msgspec.json.decode(file.read_bytes(), type=list[Measurement]) if file.exists() else []


def write(folder: Path, measurement: Measurement) -> None:
    """Put a measurement in the place of an older one."""
    others = [other for other in read(folder) if other.place != measurement.place]
    ordered = sorted([*others, measurement], key=lambda each: each.place)
    (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(ordered)) + b"\n")


def section(measurements: Sequence[Measurement]) -> str:
    """Return Markdown; empty where nothing was measured."""
    if not measurements:
        return ""
    found = {row.name: row for measurement in measurements for row in measurement.rows}
    parts = [
        _INTRODUCTION.format(limit=LIMIT_SECONDS),
        *(
            f"{each.place}: {each.when}, {len(each.rows)} rows, {each.at_once} at once, on {each.machine}.\n"
            for each in measurements
        ),
        _summary(list(found.values())),
    ]
    for title, rows in KINDS.items():
        measured = [found[row.name] for row in rows if row.name in found]
        if measured:
            parts.append("\n".join(_table(title, measured)))
    return "\n".join(parts)


def _summary(rows: Sequence[Measured]) -> str:
    reported = [row.reported for row in rows if row.condition]
    in_time, healed = sum(map(_in_time, reported)), sum(_in_time(row.healed) for row in rows)
    limit = f"within {LIMIT_SECONDS:g} s"
    return (
        f"{in_time} of {len(reported)} faults were reported {limit}, and {healed} of {len(rows)} rows healed {limit}.\n"
    )


def _table(title: str, rows: Sequence[Measured]) -> Iterator[str]:
    yield from (f"### {title}", "")
    yield "| Fault | Condition, reason | Words in the message | Reported after s | Healed after s | At |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        condition = f"{row.condition} `{row.reason}`" if row.condition else "repaired"
        words = "<br>".join(f"`{word}`" for word in row.words)
        reported = _seconds(row.reported) if row.condition else ""
        yield f"| {row.name} | {condition} | {words} | {reported} | {_seconds(row.healed)} | {row.place} |"
    yield ""


def _seconds(measured: float | None) -> str:
    text = "not at all" if measured is None else f"{measured:g}"
    return text if _in_time(measured) else f"**{text}**"


def _in_time(measured: float | None) -> bool:
    return measured is not None and measured <= LIMIT_SECONDS

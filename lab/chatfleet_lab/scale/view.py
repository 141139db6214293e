"""What a person sees while it runs: the figures of now, and their course, redrawn in place."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from chatfleet_lab.scale.series import Sample

BARS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 60
"""Samples in the course, the newest at its right end."""


def course(values: Sequence[int]) -> str:
    """Return the newest values as bars, the highest of them all in full height."""
    top = max(values, default=0) or 1
    return "".join(BARS[value * (len(BARS) - 1) // top] for value in values[-WIDTH:])


def view(samples: Sequence[Sample]) -> Group:
    """Return a picture of the samples so far (at least one)."""
    now = samples[-1]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(justify="right", min_width=8)
    rows.add_column(justify="right", min_width=5)
    rows.add_column(no_wrap=True)
    rows.add_row("streams", str(now.streams), Text(course([each.streams for each in samples]), style="cyan"))
    rows.add_row("desired", str(now.desired), Text(course([each.desired for each in samples]), style="yellow"))
    rows.add_row("ready", str(now.ready), Text(course([each.ready for each in samples]), style="green"))
    lost = f"cut {now.cut}, refused {now.refused}"
    heading = Text(f"{now.at:5.0f} s   {now.whole} streams whole, ").append(
        lost, style="bold red" if now.cut or now.refused else "bold green"
    )
    return Group(heading, rows)

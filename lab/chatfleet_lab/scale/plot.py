"""The picture that stays: streams and replicas over time, as SVG."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from chatfleet_lab.scale.series import Sample


def plot(samples: Sequence[Sample], file: Path, *, title: str, target: float) -> None:
    """Draw streams beside what the pods are meant for at `target` streams each, and below it the replicas."""
    mpl.rcParams["svg.hashsalt"] = "chatfleet"  # the same samples give the same file
    at = [sample.at for sample in samples]
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.set_title(title, loc="left")
    above.plot(at, [sample.streams for sample in samples], label="streams open", color="tab:blue")
    above.step(
        at,
        [sample.ready * target for sample in samples],
        where="post",
        label=f"ready pods x {target:g}",
        color="tab:green",
    )
    above.set_ylabel("streams")
    above.legend(loc="upper left", frameon=False)
    below.step(at, [sample.desired for sample in samples], where="post", label="desired", color="tab:orange")
    below.step(at, [sample.ready for sample in samples], where="post", label="ready", color="tab:green")
    below.set_ylabel("pods")
    below.set_xlabel("seconds")
    below.set_ylim(bottom=0)
    below.legend(loc="upper left", frameon=False)
    last = samples[-1]
    figure.text(0.99, 0.99, f"{last.whole} streams whole, {last.cut} cut, {last.refused} refused", ha="right", va="top")
    figure.savefig(file, metadata={"Date": None})

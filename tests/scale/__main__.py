"""`make demo-autoscale`: raise and lower the load on a ChatDeployment, show what its autoscaler does, and plot it."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.live import Live

from scale.load import Count, Load, Profile
from scale.plot import plot
from scale.series import Cluster, Replicas, Sample, sampled, save
from scale.view import view


def steps(course: Sequence[tuple[float, int]]) -> Profile:
    """Return a profile that rises and falls in straight lines between the points (seconds, streams)."""

    def profile(now: float) -> int:
        for (begin, low), (end, high) in pairwise(course):
            if begin <= now < end:
                return round(low + (high - low) * (now - begin) / (end - begin))
        return course[-1][1]

    return profile


async def watched(load: Load, cluster: Cluster, profile: Profile, *, seconds: float) -> list[Sample]:
    """Run the load and return what was seen, shown live where that goes to a terminal."""
    samples: list[Sample] = []
    console = Console(stderr=True)

    def look(at: float, seen: Replicas) -> Sample:
        tally = load.tally
        return Sample(at, tally.live, profile(at), *seen, tally.whole, tally.cut, tally.refused)

    with Live(console=console, auto_refresh=False, transient=False) as screen:

        def show(sample: Sample) -> None:
            samples.append(sample)
            screen.update(view(samples), refresh=console.is_terminal)

        async with asyncio.TaskGroup() as both:
            sampler = both.create_task(sampled(look, cluster, show))
            await load.run(seconds)
            sampler.cancel()
    return samples


def main() -> int:
    """Return 0 when no stream was cut or refused."""
    parser = argparse.ArgumentParser(prog="python -m scale", description=__doc__)
    parser.add_argument("--url", required=True, help="where the Service is, such as http://10.0.0.7")
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--name", default="crowd", help="of the ChatDeployment")
    parser.add_argument("--kubectl", default="kubectl", help="command, with its options")
    parser.add_argument("--model", default="count", help="model of the ChatDeployment that counts")
    parser.add_argument("--words", type=int, default=60, help="how far it counts")
    parser.add_argument("--target", type=float, default=35, help="streams that a pod is meant for")
    parser.add_argument(
        "--profile", default="0:10 20:120 120:120 150:10 420:10", help="SECONDS:STREAMS, straight lines between"
    )
    parser.add_argument("--plot", type=Path, help="SVG file for the picture")
    parser.add_argument("--json", type=Path, help="file for the samples")
    asked = parser.parse_args()
    course = [(float(at), int(streams)) for at, streams in (point.split(":") for point in asked.profile.split())]
    profile = steps(course)
    load = Load(asked.url, Count(asked.model, asked.words), profile)
    cluster = Cluster(shlex.split(asked.kubectl), asked.namespace, asked.name)
    samples = asyncio.run(watched(load, cluster, profile, seconds=course[-1][0]))
    if asked.json:
        save(samples, asked.json)
    if asked.plot:
        plot(samples, asked.plot, title=f"{asked.name}: streams and pods", target=asked.target)
    tally = load.tally
    sys.stdout.write(f"{tally.begun} streams: {tally.whole} whole, {tally.cut} cut, {tally.refused} refused\n")
    for why, times in tally.why.most_common():
        sys.stdout.write(f"  {times} x {why}\n")
    return 1 if tally.cut or tally.refused else 0


if __name__ == "__main__":
    sys.exit(main())

"""Load on a ChatDeployment while its pods come and go: `watch` shows it and draws it, `endure` judges it.

`simulate` needs no node: it lets the real autoscaler follow half an hour of load in some minutes.
"""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
from openai import DEFAULT_MAX_RETRIES
from rich.console import Console
from rich.live import Live

from chatfleet_lab.scale.crowd import noisy
from chatfleet_lab.scale.delayed_rules import delayed_rules
from chatfleet_lab.scale.endure import EnduranceResult, endure
from chatfleet_lab.scale.evaluate import Simulation, turned
from chatfleet_lab.scale.page import rewrite
from chatfleet_lab.scale.plot import plot
from chatfleet_lab.scale.series import Cluster, Replicas, Sample, sampled, save
from chatfleet_lab.scale.simulate import NOISE_SECONDS, SEED, Wishes, print_outcomes, simulated
from chatfleet_lab.scale.subject import START_SECONDS, STREAM_SECONDS
from chatfleet_lab.scale.view import view
from harness.clients.load import Count, Load, Profile, StreamCounts
from harness.kube.node import Node, component, install, running_node

NAMESPACE = "crowd"
ENDURE_CLUSTER = "scale"
ENDURE_MANIFEST = Path(__file__).parent / "endure.yaml"
DRAIN_SECONDS = 5
COUNT = Count("count", 60)
"""This and the above are as the manifest says."""
STARTS_A_SECOND = 5
"""At the beginning, and so for ever, as all streams last 12 s: at any moment some begin, also when a pod ends."""


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
        counts = load.counts
        return Sample(at, counts.live, profile(at), *seen, counts.whole, counts.cut, counts.refused)

    with Live(console=console, auto_refresh=False) as screen:

        def show(sample: Sample) -> None:
            samples.append(sample)
            screen.update(view(samples), refresh=console.is_terminal)

        async with asyncio.TaskGroup() as both:
            sampler = both.create_task(sampled(look, cluster, show))
            await load.run(seconds)
            sampler.cancel()
    return samples


def watch(arguments: argparse.Namespace) -> int:
    """Follow a profile of load and draw what came; returns 0 when no stream was cut, also if full pods refused some."""
    course = [(float(at), int(streams)) for at, streams in (point.split(":") for point in arguments.profile.split())]
    seconds = arguments.noise or course[-1][0]
    profile = noisy(SEED, seconds=seconds, peak=arguments.peak) if arguments.noise else steps(course)
    count = Count(arguments.model, arguments.words)
    load = Load(arguments.url, count, profile, retries=DEFAULT_MAX_RETRIES)  # as applications do
    cluster = Cluster(shlex.split(arguments.kubectl), arguments.namespace, arguments.name)
    samples = asyncio.run(watched(load, cluster, profile, seconds=seconds))
    if arguments.json:
        save(samples, arguments.json)
    if arguments.outcome:
        outcome = turned(samples, control=False)
        arguments.outcome.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
        rewrite(arguments.outcome.parent)
    if arguments.plot:
        plot(samples, arguments.plot, title=f"{arguments.name}: streams and pods", target=arguments.target)
    print_counts(load.counts)
    return 1 if load.counts.cut else 0


def print_counts(counts: StreamCounts) -> None:
    """Print what became of the streams."""
    sys.stdout.write(f"{counts.begun} streams: {counts.whole} whole, {counts.cut} cut, {counts.refused} refused\n")
    for why, times in counts.why.most_common():
        sys.stdout.write(f"  {times} x {why}\n")


def prove(arguments: argparse.Namespace) -> int:
    """Play both arms on a node whose rules are late; returns 0 when only the one without the hook lost streams."""
    with running_node(ENDURE_CLUSTER) as node:
        install(node)
        node.kubectl("create", "namespace", NAMESPACE)
        protected = _endured(node, arguments, drain_seconds=DRAIN_SECONDS, rounds=arguments.rounds)
        control = _endured(node, arguments, drain_seconds=0, rounds=min(arguments.rounds, arguments.control_rounds))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode([protected, control])) + b"\n")
        rewrite(arguments.json.parent)
    sys.stdout.write(msgspec.json.format(msgspec.json.encode([protected, control])).decode() + "\n")
    kept = not protected.cut and not protected.refused
    shown = control.cut + control.refused > 0
    return 0 if kept and shown else 1


def simulate(arguments: argparse.Namespace) -> int:
    """Let the real autoscaler follow simulated loads in compressed time; returns 0 when every aim was met."""
    outcomes = simulated(Wishes(arguments.factor, noisy(arguments.seed, seconds=NOISE_SECONDS)), seed=arguments.seed)
    print_outcomes(outcomes)
    if arguments.json:
        today = datetime.now(UTC).date().isoformat()
        played = Simulation(today, arguments.factor, arguments.seed, START_SECONDS, STREAM_SECONDS, outcomes)
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(played)) + b"\n")
        rewrite(arguments.json.parent)
    return 0 if all(each.kept for each in outcomes) else 1


def _endured(node: Node, arguments: argparse.Namespace, *, drain_seconds: int, rounds: int) -> EnduranceResult:
    manifest = ENDURE_MANIFEST.read_text().replace(f"drainSeconds: {DRAIN_SECONDS}", f"drainSeconds: {drain_seconds}")
    node.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=manifest)
    node.kubectl.wait("chatdeployment/crowd", "Ready", namespace=NAMESPACE)
    load = Load(
        node.service("crowd", NAMESPACE), COUNT, lambda now: min(arguments.streams, round(now * STARTS_A_SECOND))
    )
    kubectl = (str(node.kubectl.binary), "--kubeconfig", str(node.kubectl.kubeconfig))
    cluster = Cluster(kubectl, NAMESPACE, "crowd")

    async def played() -> EnduranceResult:
        async with delayed_rules(component("kube-proxy", ENDURE_CLUSTER)):
            return await endure(load, cluster, rounds=rounds, at_once=arguments.streams, drain_seconds=drain_seconds)

    return asyncio.run(played())


def main() -> int:
    """Do what the arguments ask for and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m chatfleet_lab.scale", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    demo = verbs.add_parser("watch", help=watch.__doc__)
    demo.set_defaults(play=watch)
    demo.add_argument("--url", required=True, help="where the Service is, such as http://10.0.0.7")
    demo.add_argument("--namespace", default="demo")
    demo.add_argument("--name", default="crowd", help="of the ChatDeployment")
    demo.add_argument("--kubectl", default="kubectl", help="command, with its options")
    demo.add_argument("--model", default="count", help="model of the ChatDeployment that counts")
    demo.add_argument("--words", type=int, default=60, help="how far it counts")
    demo.add_argument("--target", type=float, default=35, help="streams that a pod is meant for")
    course = "0:10 20:120 120:120 150:10 420:10"
    demo.add_argument("--profile", default=course, help="SECONDS:STREAMS …, with straight lines between")
    demo.add_argument("--noise", type=float, metavar="SECONDS", help="follow noise and bursts instead, for so long")
    demo.add_argument("--peak", type=int, default=120, help="streams of the noise at its highest, bursts apart")
    demo.add_argument("--outcome", type=Path, help="file for how often the number of pods turned")
    demo.add_argument("--plot", type=Path, help="SVG file for the picture")
    demo.add_argument("--json", type=Path, help="file for the samples")
    proof = verbs.add_parser("endure", help=prove.__doc__)
    proof.set_defaults(play=prove)
    proof.add_argument("--rounds", type=int, default=20, help="each scales up, rolls out, evicts and scales down")
    proof.add_argument("--control-rounds", type=int, default=5, help="the same without the preStop hook")
    proof.add_argument("--streams", type=int, default=60, help="at a time")
    proof.add_argument("--json", type=Path, help="file for the figures")
    model = verbs.add_parser("simulate", help=simulate.__doc__)
    model.set_defaults(play=simulate)
    model.add_argument("--factor", type=int, default=5, help="by which all seconds are divided: 1, 3, 5 or 15")
    model.add_argument("--seed", type=int, default=SEED, help="of all chance")
    model.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    played: int = arguments.play(arguments)
    return played


if __name__ == "__main__":
    sys.exit(main())

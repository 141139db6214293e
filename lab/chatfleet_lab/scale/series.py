"""What is noted over time: the load, and what the cluster made of it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec

from chatfleet_contract.names import COMPONENT_API, LABEL_COMPONENT, LABEL_DEPLOYMENT

SAMPLE_SECONDS: Final = 2.0


class Sample(msgspec.Struct, frozen=True):
    """One look. Times are seconds since the beginning."""

    at: float
    streams: int
    """Open, as the client counts."""
    wanted: int
    """Streams that the profile asks for."""
    desired: int
    """Replicas that the autoscaler wants."""
    pods: int
    ready: int
    whole: int = 0
    cut: int = 0
    refused: int = 0


class Replicas(NamedTuple):
    """How many pods there should be, are, and are ready."""

    desired: int
    pods: int
    ready: int


class Cluster:
    """One ChatDeployment in its cluster, by kubectl."""

    def __init__(self, kubectl: Sequence[str], namespace: str, name: str) -> None:
        """Run the command `kubectl`, which knows its cluster."""
        self.namespace = namespace
        self.name = name
        self.selector = f"{LABEL_DEPLOYMENT}={name},{LABEL_COMPONENT}={COMPONENT_API}"
        self._kubectl = (*kubectl, "-n", namespace)

    async def run(self, *args: str, stdin: str = "") -> str:
        """Run kubectl and return what it printed; its words on standard error go through."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self._kubectl, *args, stdin=pipe, stdout=pipe)
        text, _ = await process.communicate(stdin.encode())
        if process.returncode:
            raise RuntimeError(f"kubectl {' '.join(args)} failed with status {process.returncode}")
        return text.decode()

    async def replicas(self) -> Replicas:
        """Return what the Deployment says now."""
        live: dict[str, Any] = json.loads(await self.run("get", "deployment", self.name, "-o", "json"))
        status = live["status"]
        return Replicas(live["spec"]["replicas"], status.get("replicas", 0), status.get("readyReplicas", 0))


async def sampled(look: Callable[[float, Replicas], Sample], cluster: Cluster, show: Callable[[Sample], None]) -> None:
    """Look again and again, until cancelled, and `show` each sample."""
    begun = monotonic()
    while True:
        replicas = await cluster.replicas()
        show(look(monotonic() - begun, replicas))
        await asyncio.sleep(SAMPLE_SECONDS)


def directions(samples: Sequence[Sample]) -> int:
    """Return how often the wish for replicas turned from up to down or from down to up."""
    steps = [after.desired - before.desired for before, after in pairwise(samples)]
    moves = [step > 0 for step in steps if step]
    return sum(before != after for before, after in pairwise(moves))


def save(samples: Sequence[Sample], file: Path) -> None:
    """Write the samples as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(samples)) + b"\n")

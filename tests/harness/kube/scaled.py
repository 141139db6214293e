"""A ChatDeployment whose pods come and go, as tests look at it and stream from it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from harness.clients.load import Count, Load
from harness.kube.node import Node
from harness.polling import remains

COUNT = Count("slow", 100)
"""Five seconds, as the manifests have it."""
A_SECOND = 3
"""Streams that begin at first, and so for ever: not all of them end, and none is open, at one moment."""


@dataclass(frozen=True)
class Scaled:
    """One ChatDeployment on a node."""

    node: Node
    namespace: str
    name: str

    @property
    def wanted(self) -> int:
        """Pods that the Deployment is to have."""
        count: int = self.node.kubectl.json("get", "deployment", self.name, "-n", self.namespace)["spec"]["replicas"]
        return count

    @property
    def ready(self) -> int:
        """Pods that are ready, by the status."""
        status = self.node.kubectl.json("get", "chatdeployment", self.name, "-n", self.namespace)["status"]
        count: int = status["readyReplicas"]
        return count

    @property
    def reason(self) -> str:
        """Why it is scaled or not, by `AutoscalingActive`."""
        status = self.node.kubectl.json("get", "chatdeployment", self.name, "-n", self.namespace)["status"]
        return next(str(each["reason"]) for each in status["conditions"] if each["type"] == "AutoscalingActive")

    def stays(self, replicas: int, *, seconds: float) -> None:
        """See that nobody changes the number of pods for so long."""
        remains(lambda: self.wanted == replicas, seconds=seconds, every=1)

    @contextmanager
    def streaming(self, streams: int) -> Iterator[None]:
        """Keep so many streams open, without the SDK's retries, and see in the end that none was cut or refused."""
        url = self.node.service(self.name, self.namespace)
        load = Load(url, COUNT, lambda now: min(streams, round(now * A_SECOND)))
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(asyncio.run, load.run(seconds=400))
            try:
                yield
            finally:
                load.stop()
            running.result(60)
        assert (load.counts.cut, load.counts.refused, dict(load.counts.why)) == (0, 0, {})
